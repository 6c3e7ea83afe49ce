import numpy as np
import onnx
import pytest

from decig.device.measure import limits
from decig.device.measure.limits import Limits, measure_limits
from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.errors import BadInputError
from decig.graph.cost import count
from decig.schema import convert


@pytest.fixture
def quick(monkeypatch):
    """Models of a moment, and nothing known from before."""
    monkeypatch.setattr(limits, "SIDES", (8, 16))
    monkeypatch.setattr(limits, "WIDTHS", (4,))
    monkeypatch.setattr(limits, "COPY_SHAPE", [1, 4, 16, 16])
    monkeypatch.setattr(limits, "SECONDS", 0.0)
    measure_limits.cache_clear()
    yield
    measure_limits.cache_clear()


def test_both_limits_once_a_device(quick):
    found = measure_limits(Device.of())
    assert found.gflops > 0
    assert found.gbytes_per_s > 0
    assert measure_limits(Device.of()) is found
    assert measure_limits(Device.of(threads=2)) is not found


def test_rates_are_work_over_time(quick, monkeypatch):
    monkeypatch.setattr(limits, "quickest_us", lambda run, device: 2.0)
    found = measure_limits(Device.of())
    matmul, conv = 2 * 16**3, 2 * 4 * 4 * 9 * 32 * 32
    assert found.gflops == pytest.approx(max(matmul, conv) / 2.0 / 1e3)
    assert found.gbytes_per_s == pytest.approx(2 * 4 * 1024 / 2.0 / 1e3)


@pytest.mark.parametrize(("large_us", "sides"), [(0.0, [8]), (1e9, [8, 16, 32])])
def test_sizes_grow_until_a_run_is_long(quick, monkeypatch, large_us, sides):
    built, build = [], limits.matmul
    monkeypatch.setattr(limits, "matmul", lambda side: built.append(side) or build(side))
    monkeypatch.setattr(limits, "SIDES", (8, 16, 32))
    monkeypatch.setattr(limits, "LARGE_US", large_us)
    measure_limits(Device.of())
    assert built == sides


@pytest.mark.parametrize("build", [limits.matmul, limits.conv])
def test_the_models_compute_what_is_counted(build):
    model = build(8)
    onnx.checker.check_model(model, full_check=True)
    assert (
        count(model).macs == {"MatMul": 8**3, "Conv": 8 * 8 * 9 * 1024}[model.graph.node[0].op_type]
    )


def test_the_copy_is_a_copy():
    session = Device.of().open(limits.copy_model([1, 2, 8, 8]))
    feeds = random_feeds(session)
    np.testing.assert_array_equal(session.run(None, feeds)[0], feeds["x"])
    run = limits.in_place(session, feeds)
    run()
    binding = run.args[1]
    np.testing.assert_array_equal(binding.get_outputs()[0].numpy(), feeds["x"])


def test_a_provider_that_refuses_the_models(quick, monkeypatch, caplog):
    def refuse(*_, **__):
        raise BadInputError("the model: ONNX Runtime refuses it")

    monkeypatch.setattr(Device, "open", refuse)
    assert measure_limits(Device.of()) is None
    assert "limits of this device are not known: the model: ONNX Runtime refuses" in caplog.text


def test_round_trip():
    found = Limits(112.735, 21.25)
    assert convert(found.to_dict(), Limits, "t.json") == Limits(112.73, 21.25)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ([], "t.json: expected `object`, not"),
        ({"gflops": 1}, "t.json: gbytes_per_s is missing"),
        ({"gflops": 0, "gbytes_per_s": 1}, "t.json: gflops: expected `float` > 0, not 0"),
    ],
)
def test_damaged_limits(spoilt, message):
    with pytest.raises(BadInputError, match=message):
        convert(spoilt, Limits, "t.json")
