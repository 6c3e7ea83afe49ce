"""Norms become part of the convolution before them: the same picture where images are alike."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.norm_folding import (
    Statistics,
    all_norms,
    fold_norm,
    foldable_norms,
    with_statistics,
)
from tests.graph.rewrite.small import Net, operators, run


def norm(net: Net, value: str, channels: int, name: str = "norm", **attributes: float) -> str:
    affine = (net.weights(channels), net.weights(channels))
    return net.node("InstanceNormalization", value, *affine, name=name, **attributes)


def statistics_of(proto, name: str, image: np.ndarray) -> Statistics:
    measured, outputs = with_statistics(proto, [name])
    values = run(measured, image)[len(proto.graph.output) :]
    assert [v.name for v in measured.graph.output][-2:] == list(outputs[0])
    return Statistics(*(np.asarray(v, np.float64).reshape(v.shape[:2]) for v in values))


def folded_like_one_image(net: Net, result: str, shape: tuple[int, ...]):
    """Fold the norm by the statistics of one image; its picture must stay what it was."""
    proto = net.finish(result)
    assert foldable_norms(proto) == ["norm"]
    image = net.random.normal(0.5, 1, shape).astype(np.float32)
    content = proto.SerializeToString()
    folded = fold_norm(proto, "norm", statistics_of(proto, "norm", image))
    assert proto.SerializeToString() == content, "the argument was changed"
    before, after = run(proto, image)[0], run(folded, image)[0]
    assert np.abs(before - after).max() <= 1e-5 * np.ptp(before)
    assert analyse(folded).ids_of(folded.graph.output[0].name) is not None
    return folded


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_one_images_statistics_give_its_picture(op_type: str, group: int, biased: bool) -> None:
    net = Net(1, 4, 7, 6)
    shape = (6, 4 // group, 3, 3) if op_type == "Conv" else (4, 6 // group, 3, 3)
    inputs = [net.weights(*shape), *([net.weights(6)] if biased else [])]
    value = net.node(op_type, "x", *inputs, pads=[1] * 4, group=group)
    result = net.node("Relu", norm(net, value, 6, epsilon=1e-3))
    assert operators(folded_like_one_image(net, result, (1, 4, 7, 6))) == [op_type, "Relu"]


@pytest.mark.parametrize("opset", [9, 18])
def test_a_crop_in_between_stays_and_what_it_reads_gets_a_new_name(opset: int) -> None:
    net = Net(1, 3, 8, 8, opset=opset)
    value = net.node("ConvTranspose", "x", net.weights(3, 5, 3, 3), name="up", strides=[2, 2])
    if opset < 10:
        bounds = {"starts": [1, 1], "ends": [16, 16], "axes": [2, 3]}
        value = net.node("Slice", value, **bounds)
    else:
        parts = (net.constant(p, np.int64) for p in ([1, 1], [16, 16], [2, 3]))
        value = net.node("Slice", value, *parts)
    folded = folded_like_one_image(net, norm(net, value, 5), (1, 3, 8, 8))
    assert operators(folded) == ["ConvTranspose", "Slice"]
    assert folded.graph.node[0].output[0] == "norm/uncropped"


def test_the_numbers_are_those_that_come_closest_over_all_images() -> None:
    rng = np.random.default_rng(3)
    images = [rng.normal(m, s, 4000) for m, s in ((0.2, 1.0), (-0.4, 2.0), (0.9, 0.5))]
    mean, variance = (np.array([[f(x)] for x in images]) for f in (np.mean, np.var))
    affine = Statistics(mean, variance).affine(np.array([1.5]), np.array([0.3]), 1e-5)
    wanted = np.concatenate([1.5 * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + 0.3 for x in images])
    slope, start = np.polyfit(np.concatenate(images), wanted, 1)
    assert affine.factor == pytest.approx([slope])
    assert affine.shift == pytest.approx([start])


def test_a_channel_that_never_moves_becomes_the_shift() -> None:
    constant = Statistics(np.full((4, 1), 7.0), np.zeros((4, 1)))
    affine = constant.affine(np.array([2.0]), np.array([0.5]), 1e-5)
    assert (affine.factor.item(), affine.shift.item()) == (0.0, 0.5)


def test_norms_without_a_convolution_of_their_own_are_told_apart() -> None:
    net = Net(1, 4, 6, 6)
    first = net.node("Conv", "x", net.weights(4, 4, 1, 1))
    shared = norm(net, first, 4, "shared")  # the sum reads the convolution, too
    behind = norm(net, net.node("Add", first, shared), 4, "behind_add")
    scaled = net.node("Conv", behind, net.weights(4, 4, 1, 1))
    style = net.node("GlobalAveragePool", "x")
    style = net.node("Reshape", style, net.constant([4], np.int64))
    computed = net.node("InstanceNormalization", scaled, style, net.weights(4), name="style")
    halves = net.node("Conv", computed, net.weights(4, 4, 1, 1))
    bounds = (net.constant(p, np.int64) for p in ([0], [2], [1]))
    proto = net.finish(norm(net, net.node("Slice", halves, *bounds), 2, "channels_cut"))
    assert all_norms(proto) == ["shared", "behind_add", "style", "channels_cut"]
    assert foldable_norms(proto) == []
