import numpy as np
import onnx
import pytest

from decig.data.feeds import Feeds
from decig.data.ports import AmbiguousPortError
from decig.graph.model import initializers, input_info, replace_initializers
from decig.graph.norm_folding import fold_norm, foldable_norms
from decig.repair.activations import run_graph
from decig.training.compression.norm_ranking import fold_least, measure_statistics
from tests.graph.rewrite.small import Net
from tests.threads import FREE, watch_threads
from tests.training.tiny import tiny_generator


def inputs(count: int = 6, size: int = 32) -> np.ndarray:
    """Pictures of different brightness and contrast."""
    rng = np.random.default_rng(0)
    look = rng.uniform(0.2, 1, (2, count, 1, 1, 1))
    return (look[0] * rng.uniform(size=(count, 3, size, size)) * look[1]).astype(np.float32)


def feeds(proto: onnx.ModelProto, images: np.ndarray) -> list[Feeds]:
    name = input_info(proto)[0].name
    return [{name: image[None]} for image in images]


def changes(proto: onnx.ModelProto, norms: list[str], images: np.ndarray) -> dict[str, float]:
    """What folding each norm alone does to the pictures."""
    picture = run_graph(proto, feeds(proto, images[:4]))
    found = {}
    for name, statistics in measure_statistics(proto, norms, feeds(proto, images)).items():
        folded = fold_norm(proto, name, statistics)
        found[name] = float(np.square(run_graph(folded, feeds(proto, images[:4])) - picture).mean())
    return found


def test_statistics_are_those_of_what_the_norm_reads() -> None:
    proto = tiny_generator()
    weights = initializers(proto)
    weights["c1.weight"] = np.zeros_like(weights["c1.weight"])
    weights["c1.weight"][:3, :, 1, 1] = np.eye(3)  # channel k is the picture's
    replace_initializers(proto, weights)
    images = inputs()
    found = measure_statistics(proto, ["n1", "n3"], feeds(proto, images))
    assert list(found) == ["n1", "n3"]
    offset = weights["c1.bias"][:3]
    assert found["n1"].mean.shape == (6, 8)
    assert found["n1"].mean[:, :3] == pytest.approx(images.mean((2, 3)) + offset, abs=1e-5)
    assert found["n1"].variance[:, :3] == pytest.approx(images.var((2, 3)), abs=1e-5)
    assert found["n1"].variance[:, 3:] == pytest.approx(0, abs=1e-9)


def two_sizes(strength: float) -> onnx.ModelProto:
    """A norm at the picture's size, plus one at half of it whose output is scaled."""
    net = Net(1, 3, 32, 32)

    def norm(value: str, name: str) -> str:
        value = net.node("Conv", value, net.weights(3, 3, 1, 1))
        affine = (net.constant(np.ones(3)), net.constant(np.zeros(3)))
        return net.node("InstanceNormalization", value, *affine, name=name)

    large = norm("x", "large")
    small = norm(net.node("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2]), "small")
    small = net.node("Resize", small, "", net.constant([1, 1, 2, 2]), mode="nearest")
    return net.finish(net.node("Add", large, net.node("Mul", small, net.constant(strength))))


def test_time_counts_by_elements() -> None:
    images = inputs()

    norms = ["small", "large"]
    plain = changes(two_sizes(1.0), norms, images)
    for share, first in ((0.5, "large"), (0.1, "small")):  # its elements are a quarter
        proto = two_sizes(float(np.sqrt(share * plain["large"] / plain["small"])))
        found = changes(proto, norms, images)
        assert found["small"] == pytest.approx(share * found["large"], rel=1e-3)
        assert fold_least(proto, norms, feeds(proto, images))[0] == first


@pytest.mark.parametrize("seed", range(3))
def test_the_norm_that_the_picture_needs_least_goes_first(seed: int) -> None:
    proto, images = tiny_generator(seed=seed), inputs()
    statistics = measure_statistics(proto, ["n1", "n2", "n3"], feeds(proto, images))
    ways = {name: fold_norm(proto, name, found) for name, found in statistics.items()}
    change = changes(proto, ["n1", "n2", "n3"], images)
    name, folded = fold_least(proto, ["n1", "n2", "n3"], feeds(proto, images))
    assert name == min(change, key=change.__getitem__)
    assert folded.SerializeToString() == ways[name].SerializeToString()
    assert foldable_norms(folded) == [n for n in ("n1", "n2", "n3") if n != name]


def test_norms_are_tried_on_the_threads_that_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = watch_threads(monkeypatch)
    proto = tiny_generator()
    fold_least(proto, ["n1", "n2"], feeds(proto, inputs()))
    assert opened == [FREE] * 4


def test_the_named_output_is_the_one_that_is_compared():
    proto = tiny_generator()
    norms = foldable_norms(proto)
    given = feeds(proto, inputs())
    alone = fold_least(proto, norms, given)[0]
    name = proto.graph.output[0].name
    twin = onnx.helper.make_node("Neg", [name], ["negative"], name="negate")
    two = onnx.ModelProto.FromString(proto.SerializeToString())
    two.graph.node.append(twin)
    two.graph.output.add().CopyFrom(two.graph.output[0])
    two.graph.output[1].name = "negative"
    with pytest.raises(AmbiguousPortError):
        fold_least(two, norms, given)
    assert fold_least(two, norms, given, name)[0] == alone
