"""Nearest upsampling and a convolution become a ConvTranspose."""

from pathlib import Path

import numpy as np
import pytest

from decig.graph.model import load_model
from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "resize_into_transpose"
ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def enlarged(net: Net, factor: int = 2, value: str = "x", **attributes: object) -> str:
    scales = net.constant([1.0, 1.0, factor, factor])
    return net.node("Resize", value, "", scales, mode="nearest", **(attributes or ASYMMETRIC))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize(
    ("kernel", "pads"),
    [
        ((3, 3), [1, 1, 1, 1]),
        ((5, 5), [2, 2, 2, 2]),
        ((3, 5), [0, 2, 2, 1]),
        ((1, 1), [0] * 4),
        ((4, 4), [0] * 4),
    ],
)
def test_sizes_and_padding(
    kernel: tuple[int, int], pads: list[int], factor: int, biased: bool
) -> None:
    net = Net(2, 3, 5, 6)
    inputs = [net.weights(4, 3, *kernel), *([net.weights(4)] if biased else [])]
    value = net.node("Conv", enlarged(net, factor), *inputs, name="conv", pads=pads)
    after, applied = rewritten(net.finish(value), RULE)
    assert operators(after) == ["ConvTranspose"]
    assert [entry.node for entry in applied] == ["conv"]


@pytest.mark.parametrize(
    ("mode", "factor", "amounts"),
    [
        ("reflect", 2, (1, 1, 1, 1)),
        ("reflect", 3, (2, 1, 0, 2)),
        ("edge", 2, (1, 1, 1, 1)),
        ("edge", 2, (3, 2, 1, 4)),
    ],
)
@pytest.mark.parametrize("opset", [10, 18])
def test_border_in_between(
    opset: int, mode: str, factor: int, amounts: tuple[int, int, int, int]
) -> None:
    net = Net(1, 3, 5, 6, opset=opset)
    if opset == 10:
        scales = net.constant([1.0, 1.0, factor, factor])
        value = net.node("Resize", "x", scales, mode="nearest")
    else:
        value = enlarged(net, factor)
    pads = [0, 0, *amounts[:2], 0, 0, *amounts[2:]]
    if opset == 10:
        value = net.node("Pad", value, mode=mode, pads=pads)
    else:
        value = net.node("Pad", value, net.constant(pads, np.int64), mode=mode)
    value = net.node("Conv", value, net.weights(4, 3, 3, 3), net.weights(4))
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["Pad", "ConvTranspose"]


@pytest.mark.parametrize(
    ("place", "rounding", "factor"),
    [
        ("half_pixel", "round_prefer_floor", 2),
        ("half_pixel", "round_prefer_ceil", 3),
        ("asymmetric", "round_prefer_floor", 2),
        ("pytorch_half_pixel", "round_prefer_floor", 4),
    ],
)
def test_other_ways_to_say_repeat(place: str, rounding: str, factor: int) -> None:
    net = Net(1, 3, 4, 5)
    attributes = {"coordinate_transformation_mode": place, "nearest_mode": rounding}
    value = net.node("Conv", enlarged(net, factor, **attributes), net.weights(4, 3, 3, 3))
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["ConvTranspose"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "floor"},
        {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "ceil"},
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"},
        {"coordinate_transformation_mode": "align_corners", "nearest_mode": "floor"},
    ],
)
def test_leaves_what_does_not_repeat(attributes: dict[str, object]) -> None:
    net = Net(1, 3, 4, 5)
    value = net.node("Conv", enlarged(net, **attributes), net.weights(4, 3, 3, 3))
    assert unchanged(net.finish(value), RULE)


@pytest.mark.parametrize(
    ("opset", "op_type"), [(7, "Upsample"), (9, "Upsample"), (10, "Resize"), (18, "Resize")]
)
def test_leaves_scales_that_are_not_whole(opset: int, op_type: str) -> None:
    net = Net(1, 3, 60, 5, opset=opset)
    scales = [1.0, 1.0, 2.01, 2.0]  # 120 rows, of which the last are shifted by one
    if opset == 7:
        value = net.node(op_type, "x", scales=scales)
    elif opset == 18:
        value = net.node(op_type, "x", "", net.constant(scales), **ASYMMETRIC)
    else:
        value = net.node(op_type, "x", net.constant(scales))
    assert unchanged(net.finish(net.node("Conv", value, net.weights(4, 3, 3, 3))), RULE)


def test_sizes_in_the_place_of_scales() -> None:
    net = Net(1, 3, 4, 5)
    sizes = net.constant([1, 3, 8, 10], np.int64)
    value = net.node("Resize", "x", "", "", sizes, **ASYMMETRIC)
    after, _ = rewritten(net.finish(net.node("Conv", value, net.weights(4, 3, 3, 3))), RULE)
    assert operators(after) == ["ConvTranspose"]


@pytest.mark.parametrize("conv", [{"strides": [2, 2]}, {"dilations": [2, 2]}, {"pads": [3] * 4}])
def test_leaves_other_convolutions(conv: dict[str, object]) -> None:
    net = Net(1, 3, 4, 5)
    assert unchanged(
        net.finish(net.node("Conv", enlarged(net), net.weights(4, 3, 3, 3), **conv)), RULE
    )


def test_leaves_borders_that_reach_too_far() -> None:
    for mode in ("reflect", "constant"):
        net = Net(1, 3, 4, 5)
        pads = net.constant([0, 0, 2, 1, 0, 0, 1, 1], np.int64)
        value = net.node("Pad", enlarged(net), pads, mode=mode)
        assert unchanged(net.finish(net.node("Conv", value, net.weights(4, 3, 3, 3))), RULE)


def test_leaves_an_image_that_others_read() -> None:
    net = Net(1, 3, 4, 5)
    large = enlarged(net)
    conv = net.node("Conv", large, net.weights(4, 3, 3, 3))
    assert unchanged(net.finish(conv, net.node("Relu", large)), RULE)


def test_phases_of_a_joined_graph() -> None:
    net = Net(1, 16, 8, 8)
    value = net.node(
        "Conv", enlarged(net), net.weights(16, 16, 3, 3), net.weights(16), pads=[1] * 4
    )
    after, _ = rewritten(net.finish(net.node("Relu", value)), RULE, "phase_transpose")
    assert operators(after)[:4] == ["Conv"] * 4
    assert "DepthToSpace" in operators(after)


def test_a_real_net(shared_suite: Path) -> None:
    _, applied = rewritten(load_model(shared_suite / "mobil_highstyle.onnx").proto, RULE)
    assert not applied  # its convolutions there are depthwise
