"""Arithmetic of convolution windows, against what ONNX Runtime does."""

from typing import Any

import numpy as np
import pytest
from onnx import helper

from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.rule import NoMatch
from decig.graph.rewrite.windows import (
    blocks,
    conv_pads,
    crop,
    dense_conv,
    dense_kernel,
    fills_with_zero,
    is_plain,
    pad_amounts,
)
from tests.graph.rewrite.small import Net, run


def test_channels_are_paid_for_by_whole_blocks() -> None:
    assert [blocks(channels) for channels in (1, 16, 17, 48)] == [16, 16, 32, 48]


@pytest.mark.parametrize(
    ("attributes", "plain"),
    [({}, True), ({"group": 1, "dilations": [1, 1]}, True), ({"group": 2}, False),
     ({"dilations": [1, 2]}, False)],
)  # fmt: skip
def test_plain_convolutions_have_one_group_and_no_holes(
    attributes: dict[str, Any], plain: bool
) -> None:
    assert is_plain(helper.make_node("Conv", ["x", "w"], ["y"], **attributes)) == plain


def test_what_a_dense_convolution_has() -> None:
    net = Net(1, 2, 8, 7)
    bias = net.weights(4)
    value = net.node("Conv", "x", net.weights(4, 2, 3, 3), bias, auto_pad="SAME_UPPER")
    graph = Editor(net.finish(value))
    found = dense_conv(graph, graph.nodes[0])
    assert (found.weight.shape, found.pads) == ((4, 2, 3, 3), [1] * 4)
    assert (found.source, found.target) == ((1, 2, 8, 7), (1, 4, 8, 7))
    np.testing.assert_array_equal(found.bias, graph.constant(graph.nodes[0].input[2]))


@pytest.mark.parametrize(
    ("shape", "attributes", "reason"),
    [
        ((4, 1, 3, 3), {"group": 2}, "it is grouped or dilated"),
        ((4, 2, 3, 3), {"dilations": [2, 2]}, "it is grouped or dilated"),
        ((4, 2, 3, 3), {"strides": [2, 1]}, "its stride is not 1"),
    ],
)
def test_what_is_no_dense_convolution(
    shape: tuple[int, ...], attributes: dict[str, Any], reason: str
) -> None:
    net = Net(1, 2, 8, 8)
    graph = Editor(net.finish(net.node("Conv", "x", net.weights(*shape), **attributes)))
    with pytest.raises(NoMatch, match=reason):
        dense_kernel(graph, graph.nodes[0])


def test_a_convolution_of_a_row_is_not_two_dimensional() -> None:
    net = Net(1, 2, 8)
    graph = Editor(net.finish(net.node("Conv", "x", net.weights(4, 2, 3))))
    with pytest.raises(NoMatch, match="it has not two spatial axes"):
        dense_kernel(graph, graph.nodes[0])


@pytest.mark.parametrize("size", [(7, 6), (8, 8), (5, 9)])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
@pytest.mark.parametrize(
    ("kernel", "strides"), [((3, 3), (1, 1)), ((4, 2), (2, 3)), ((1, 5), (3, 2))]
)
def test_automatic_padding_is_what_onnx_runtime_pads(
    kernel: tuple[int, int], strides: tuple[int, int], mode: str, size: tuple[int, int]
) -> None:
    def net(**padding: Any) -> Any:
        made = Net(1, 2, *size)
        weight = made.weights(3, 2, *kernel)
        return made.finish(made.node("Conv", "x", weight, strides=strides, **padding))

    given = {"pads": [1, 0, 2, 1]} if mode == "NOTSET" else {"auto_pad": mode}
    graph = Editor(net(**given))
    found = conv_pads(graph, graph.nodes[0])
    expected, actual = run(net(**given))[0], run(net(pads=found))[0]
    assert expected.shape == actual.shape
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_padding_that_cannot_be_told() -> None:
    net = Net(1, 2, 8, 8)
    value = net.node("Conv", "x", net.weights(3, 2, 3, 3), auto_pad="SAME_UPPER", dilations=[2, 2])
    graph = Editor(net.finish(value))
    assert conv_pads(graph, graph.nodes[0]) is None
    net = Net(1, 2, 8, 8)
    graph = Editor(net.finish(net.node("Conv", "x", net.weights(3, 2, 3, 3))))
    assert conv_pads(graph, graph.nodes[0]) == [0] * 4


@pytest.mark.parametrize(
    ("opset", "amounts", "axes", "wanted"),
    [
        (10, [0, 0, 1, 2, 0, 0, 3, 4], None, [0, 0, 1, 2, 0, 0, 3, 4]),
        (13, [0, 0, 1, 2, 0, 0, 3, 4], None, [0, 0, 1, 2, 0, 0, 3, 4]),
        (18, [1, 2, 3, 4], [2, 3], [0, 0, 1, 2, 0, 0, 3, 4]),
        (18, [2, 1, 4, 3], [-1, -2], [0, 0, 1, 2, 0, 0, 3, 4]),
        (18, [0, 0, -1, 2, 0, 0, 3, 0], None, [0, 0, -1, 2, 0, 0, 3, 0]),
    ],
)
def test_amounts_of_a_pad(
    opset: int, amounts: list[int], axes: list[int] | None, wanted: list[int]
) -> None:
    net = Net(1, 2, 8, 7, opset=opset)
    if opset < 11:
        value = net.node("Pad", "x", pads=amounts)
    else:
        given = [] if axes is None else ["", net.constant(axes, np.int64)]
        value = net.node("Pad", "x", net.constant(amounts, np.int64), *given)
    proto = net.finish(value)
    graph = Editor(proto)
    assert pad_amounts(graph, graph.nodes[0]) == wanted
    shape = tuple(n + wanted[i] + wanted[i + 4] for i, n in enumerate((1, 2, 8, 7)))
    assert run(proto)[0].shape == shape


def test_amounts_that_are_computed() -> None:
    net = Net(1, 2, 8, 7)
    amounts = net.node("Cast", net.node("ReduceSum", "x", keepdims=0), to=7)
    many = net.node("Expand", amounts, net.constant([8], np.int64))
    graph = Editor(net.finish(net.node("ReduceMax", net.node("Pad", "x", many))))
    pad = next(node for node in graph.nodes if node.op_type == "Pad")
    assert pad_amounts(graph, pad) is None


@pytest.mark.parametrize(
    ("opset", "mode", "filling", "zero"),
    [
        (10, "constant", None, True),
        (10, "constant", 0.0, True),
        (10, "constant", 1.0, False),
        (18, "constant", None, True),
        (18, "constant", 0.0, True),
        (18, "constant", 1.0, False),
        (18, "reflect", None, False),
        (18, "edge", None, False),
    ],
)
def test_what_a_pad_fills_with(opset: int, mode: str, filling: float | None, zero: bool) -> None:
    net, amounts = Net(1, 2, 8, 7, opset=opset), [0, 0, 1, 1] * 2
    if opset < 11:
        more = {} if filling is None else {"value": filling}
        value = net.node("Pad", "x", pads=amounts, mode=mode, **more)
    else:
        given = [] if filling is None else [net.constant(filling)]
        value = net.node("Pad", "x", net.constant(amounts, np.int64), *given, mode=mode)
    graph = Editor(net.finish(value))
    assert fills_with_zero(graph, graph.nodes[0]) == zero


@pytest.mark.parametrize("opset", [9, 13])
def test_a_crop_is_what_numpy_cuts(opset: int) -> None:
    net = Net(1, 2, 8, 7, opset=opset)
    graph = Editor(net.finish(net.node("Relu", "x", name="n")))
    (node,) = graph.nodes
    bounds = {"starts": [1, 2], "ends": [7, 5], "axes": [2, 3]}
    cut = crop(graph, node, "part", "n", bounds)
    assert cut.name == cut.output[0] == "n/part"
    graph.insert_after(node, [cut])
    final = helper.make_node("Identity", ["n/part"], ["n_out"], name="end")
    node.output[0], final.output[0], cut.input[0] = "inner", "n", "inner"
    graph.insert_after(cut, [final])
    proto = graph.finish()
    image = np.random.default_rng(0).normal(size=(1, 2, 8, 7)).astype(np.float32)
    np.testing.assert_array_equal(run(proto, image)[0], np.maximum(image, 0)[:, :, 1:7, 2:5])
