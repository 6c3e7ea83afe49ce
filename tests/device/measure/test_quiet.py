import numpy as np
import pytest

from decig.device.measure.quiet import quiet_times


def test_undisturbed_times_stand():
    kernels = {"long": np.full(5, 9000.0), "short": np.full(5, 100.0)}
    found = quiet_times(kernels, np.full(5, 9100.0), np.ones(5))
    assert found == pytest.approx({"long": 9000.0, "short": 100.0})


def test_interruptions_are_taken_out():
    rng = np.random.default_rng(0)
    true = {"a": 30_000.0, "b": 10_000.0, "c": 200.0}
    runs = 400
    kernels = {}
    for name, us in true.items():
        slices = rng.poisson(us / 3000.0, runs)  # one interruption every 3 ms of its own time
        kernels[name] = us + slices * 6000.0
    whole = np.sum(list(kernels.values()), axis=0)
    found = quiet_times(kernels, whole, sum(true.values()) / whole)
    assert found == pytest.approx(true, rel=0.05)


def test_only_short_kernels():
    found = quiet_times({"a": np.array([10.0, 30.0])}, np.array([12.0, 36.0]), np.array([1.0, 0.4]))
    assert found["a"] == pytest.approx(10.0, rel=0.2)


@pytest.mark.parametrize(
    ("kernels", "total"),
    [
        ({"a": [0, 0, 1], "b": [0, 1, 0]}, 1.0),
        ({"a": [0, 2, 2], "b": [0, 0, 0]}, 2.0),
        ({"a": [0, 0, 0], "b": [0, 0, 0]}, 0.0),
    ],
)
def test_kernels_that_are_shorter_than_a_tick_share_what_there_is(kernels, total):
    runs = {name: np.array(us, float) for name, us in kernels.items()}
    found = quiet_times(runs, np.full(3, 2.0), np.ones(3))
    assert sum(found.values()) == pytest.approx(total)
    means = {name: us.mean() for name, us in runs.items()}
    assert [found[name] * sum(means.values()) for name in found] == pytest.approx(
        [means[name] * total for name in found]
    )
