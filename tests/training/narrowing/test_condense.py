import numpy as np
import pytest
import torch

from decig.graph.channels import analyse
from decig.graph.model import initializers, normalise
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.training.narrowing.condense import WEIGHTINGS, Condenser
from decig.training.trainable.module import build_module, parameters_by_initializer, write_back
from tests.graph.shared_nets import recursive
from tests.training.tiny import tiny_generator

PROTO = tiny_generator()
CHANNELS = analyse(PROTO)
GROUPS = {group.name for group in CHANNELS.prunable}


def condenser(weighting: str = "linear", run_time: dict[str, float] | None = None) -> Condenser:
    module = build_module(PROTO)
    made = Condenser(
        parameters_by_initializer(module),
        CHANNELS,
        run_time or dict.fromkeys(GROUPS, 1.0),
        weighting,
    )
    made.module = module  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_weightings_have_mean_one_and_grow_towards_the_tail(name: str) -> None:
    weight = WEIGHTINGS[name](torch.linspace(0, 1, 10_001, dtype=torch.float64))
    assert weight.mean().item() == pytest.approx(1, rel=1e-3)
    assert (weight.diff() >= 0).all()


def test_magnitudes_are_the_norms_of_the_weights_that_read_each_channel() -> None:
    weights = {t.name: np.array(onnx_array(t)) for t in PROTO.graph.initializer}
    readers = [weights["c2.weight"], weights["c4.weight"]]  # the trunk's consumers
    expected = np.sqrt(sum((w**2).sum(axis=(0, 2, 3)) for w in readers))
    assert condenser().magnitudes()["c1"] == pytest.approx(expected, rel=1e-5)


def onnx_array(tensor: object) -> np.ndarray:
    from onnx import numpy_helper

    return numpy_helper.to_array(tensor)  # type: ignore[arg-type]


READERS = {"c1": ("c2.weight", "c4.weight"), "c2": ("c3.weight",)}
F = {
    "uniform": lambda rank: np.ones_like(rank),
    "linear": lambda rank: 2 * rank,
    "exponential": lambda rank: 4 * np.exp(4 * (rank - 1)) / (1 - np.exp(-4)),
}


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_step_is_the_soft_threshold_of_the_norm_of_every_channel(
    weighting: str, share: float
) -> None:
    """By rate, run time and rank, as a share of the mean norm; then consumers are scaled back."""
    made = condenser(weighting, {"c1": 3.0, "c2": 1.0})
    parameters = parameters_by_initializer(made.module)
    before = {name: parameter.detach().numpy().copy() for name, parameter in parameters.items()}
    made.rate = 0.4
    made.step(share)
    gone = 0
    for group, cost in (("c1", 1.5), ("c2", 0.5)):  # of the mean run time
        weights = {name: before[name].astype(float) for name in READERS[group]}
        norm = np.sqrt(sum((weight**2).sum(axis=(0, 2, 3)) for weight in weights.values()))
        rank = np.argsort(np.argsort(-norm)) / (len(norm) - 1)
        threshold = 0.4 * share * cost * F[weighting](rank) * norm.mean()
        factor = np.maximum(0, 1 - threshold / norm)
        gone += int((factor == 0).sum())
        for name, weight in weights.items():
            shrunk = weight * factor[:, None, None]
            wanted = shrunk * np.linalg.norm(weight) / np.linalg.norm(shrunk)
            found = parameters[name].detach().numpy()
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert (gone > 0) == (share == 1.0 and weighting != "uniform")
    for name in before.keys() - {name for names in READERS.values() for name in names}:
        np.testing.assert_array_equal(parameters[name].detach().numpy(), before[name])


def test_repeated_steps_leave_few_live_channels_and_keep_every_consumers_norm() -> None:
    made = condenser()
    norms = {n: p.norm().item() for n, p in made.module.named_parameters() if p.ndim == 4}
    made.rate = 0.02
    for _ in range(200):
        made.step()
    live = made.live()
    assert all(1 <= live[name] < 8 for name in GROUPS)
    for name, parameter in made.module.named_parameters():
        if parameter.ndim == 4:
            assert parameter.norm().item() == pytest.approx(norms[name], rel=1e-4)


def test_the_group_that_takes_longer_condenses_first() -> None:
    made = condenser(run_time={"c1": 10.0, "c2": 1.0})
    made.rate = 0.01
    for _ in range(60):
        made.step()
    assert made.live()["c1"] < made.live()["c2"]


def test_channels_that_died_are_sliced_without_changing_a_pixel() -> None:
    made = condenser()
    made.rate = 0.02
    for _ in range(200):
        made.step()
    condensed = write_back(made.module, PROTO)
    keep = {
        name: [i for i, m in enumerate(magnitude) if m > 0]
        for name, magnitude in made.magnitudes().items()
    }
    assert any(len(kept) < 8 for kept in keep.values())
    sliced = slice_graph(condensed, CHANNELS, Plan("", keep))
    source = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = build_module(condensed)(source)[0], build_module(sliced)(source)[0]
    assert (before - after).abs().max() < 1e-5


def test_steering_raises_the_rate_while_too_slow() -> None:
    made = condenser()
    rate = made.rate
    made.steer(predicted=10.0, wanted=5.0)
    assert made.rate > rate
    made.steer(predicted=4.0, wanted=5.0)
    made.steer(predicted=4.0, wanted=5.0)
    assert made.rate < rate
    again = condenser()
    again.load_state_dict(made.state_dict())
    assert again.rate == made.rate


def test_a_weight_that_several_nodes_read_with_shrinks_once() -> None:
    """However often a block is run, a step shrinks its weight as if it were run twice."""
    after = []
    for depth in (2, 5):
        proto = normalise(recursive(depth))
        module, channels = build_module(proto), analyse(proto)
        made = Condenser(parameters_by_initializer(module), channels, {"head": 1.0})
        made.rate = 0.05
        made.step()
        after.append(initializers(write_back(module, proto)))
    before = initializers(normalise(recursive(2)))
    for name in ("w", "wo"):
        assert not np.allclose(after[0][name], before[name], rtol=1e-3)
        np.testing.assert_allclose(after[1][name], after[0][name], rtol=1e-5)
