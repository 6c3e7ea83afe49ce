import numpy as np
import pytest
from onnx import helper

from decig.repair.offsets import BatchNorm, InstanceNorm, Norm, Offset
from decig.repair.sample import Sample

RNG = np.random.default_rng(0)
AFFINE = {"scale": np.float32([1.5, -0.5, 0.0]), "shift": np.float32([0.1, 0.2, 0.3])}


def values(count: int) -> np.ndarray:
    return RNG.normal(2.0, 3.0, size=(4, count, 3)).astype(np.float32)


def sample_of(output: np.ndarray, count: int) -> Sample:
    mean, spread = output.mean(1, keepdims=True), output.std(1, keepdims=True)
    seen = output[:, :count]
    return Sample(seen, seen, seen, 0.0, mean, spread)


def instance_norm(output: np.ndarray, count: int) -> InstanceNorm:
    node = helper.make_node("InstanceNormalization", ["a", "scale", "shift"], ["b"], epsilon=1e-3)
    return InstanceNorm(node, AFFINE, 3, sample_of(output, count))


def batch_norm() -> BatchNorm:
    constants = AFFINE | {"mean": np.ones(3, np.float32), "var": np.full(3, 4, np.float32)}
    node = helper.make_node(
        "BatchNormalization", ["a", "scale", "shift", "mean", "var"], ["b"], epsilon=0.0
    )
    return BatchNorm(node, constants, 3, bias=np.float32([0.5] * 3))


def apply(offset: Offset, given: np.ndarray) -> np.ndarray:
    offset.take(given)
    return offset.value()


def exact(output: np.ndarray) -> np.ndarray:
    centred = output - output.mean(1, keepdims=True)
    spread = np.sqrt(output.var(1, keepdims=True) + 1e-3)
    return AFFINE["scale"] * centred / spread + AFFINE["shift"]


def test_instance_norm_knows_the_whole_image_from_a_few_positions() -> None:
    output = values(4000)
    given = output[:, :50] - output[:, :50].mean(1, keepdims=True)
    norm = instance_norm(output, 50)
    assert apply(norm, given) == pytest.approx(exact(output)[:, :50], abs=1e-3)
    # Scale and shift of what the weights give are taken out, as the norm itself does.
    assert apply(norm, 2 * given) == pytest.approx(apply(norm, given), abs=1e-2)


def test_a_wish_is_granted() -> None:
    output = values(4000)
    norm = instance_norm(output, 4000)
    given = output - output.mean(1, keepdims=True)
    wanted = apply(norm, given) + 1e-3 * np.sin(given)
    wished = norm.wish(wanted)
    assert apply(norm, wished)[..., :2] == pytest.approx(wanted[..., :2], abs=4e-4)
    assert np.array_equal(wished[..., 2], given[..., 2])  # muted by gamma


@pytest.mark.parametrize("weight", [None, np.float32(RNG.random((4, 500, 1)))])
def test_gamma_and_beta_follow_by_least_squares(weight: np.ndarray | None) -> None:
    output = values(500)
    norm = instance_norm(output, 500)
    given = output - output.mean(1, keepdims=True)
    norm.gamma, norm.beta = np.ones(3, np.float32), np.zeros(3, np.float32)
    norm.refit(3 * apply(norm, given) - 1, weight)
    assert norm.gamma == pytest.approx([3] * 3, abs=1e-3)
    assert norm.beta == pytest.approx([-1] * 3, abs=1e-3)
    assert set(norm.stored(np.zeros(3))) == {"scale", "shift"}


def weighted() -> tuple[np.ndarray, np.ndarray]:
    """Weights of 50 positions in images that count unlike, and noise that is higher with them."""
    weight = np.float32(RNG.uniform(0.1, 2.0, (4, 50, 1)) * RNG.uniform(0.2, 2.0, (4, 1, 1)))
    return weight, weight + 0.1 * np.float32(RNG.normal(size=(4, 50, 3)))


@pytest.mark.parametrize("kind", [InstanceNorm, BatchNorm])
def test_a_position_counts_by_its_weight(kind: type[Norm]) -> None:
    output = values(600)
    norm = instance_norm(output, 50) if kind is InstanceNorm else batch_norm()
    weight, noise = weighted()
    given = output[:, :50] - output[:, :50].mean(norm.centre, keepdims=True)
    norm.gamma, norm.beta = np.ones(3, np.float32), np.zeros(3, np.float32)
    value = apply(norm, given)
    wanted = 3 * value - 1 + noise * (1 + value)
    norm.refit(wanted, weight)
    root = np.sqrt(weight.ravel())
    lines = [np.polyfit(value[..., c].ravel(), wanted[..., c].ravel(), 1, w=root) for c in range(3)]
    assert np.stack([norm.gamma, norm.beta], axis=1) == pytest.approx(np.stack(lines), abs=1e-3)


def test_a_bias_follows_the_positions_that_count() -> None:
    given, (weight, noise) = values(50), weighted()
    bias = Offset("bias", {}, 3)
    bias.take(given)
    bias.refit(given + noise, weight)
    expected = np.average(noise, axis=(0, 1), weights=np.broadcast_to(weight, noise.shape))
    assert bias.beta == pytest.approx(expected, abs=1e-3)


def test_batch_norm_moves_its_mean_with_the_weights() -> None:
    norm = batch_norm()
    given = values(200) - 2
    wanted = 2 * given + 7
    norm.take(given)
    norm.refit(wanted, None)
    stored = norm.stored(np.float32([1, 2, 3]))
    made = given + np.float32([1, 2, 3]) + 0.5  # what the layer gives, bias included
    normal = stored["scale"] * (made - stored["mean"]) / 2 + stored["shift"]
    assert normal == pytest.approx(wanted, abs=1e-2)


def test_a_bias_takes_up_the_mean_and_none_does_not() -> None:
    given = values(100)
    bias = Offset("bias", {}, 3)
    bias.take(given)
    bias.refit(given + np.float32([1, 2, 3]), None)
    assert bias.stored(np.float32([1, 1, 1]))["bias"] == pytest.approx([0, 1, 2], abs=1e-4)
    nothing = Offset(None, {}, 3)
    nothing.take(given)
    nothing.refit(given + 5, None)
    assert nothing.centre == ()
    assert np.array_equal(nothing.value(), given)
    assert nothing.stored(np.zeros(3)) == {}
