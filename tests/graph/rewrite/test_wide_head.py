"""A convolution with few outputs becomes a strided one at several phases."""

from pathlib import Path

import pytest

from decig.graph.model import load_model
from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "wide_head"


@pytest.mark.parametrize("pads", [[4, 4, 4, 4], [0, 0, 0, 0], [3, 2, 3, 4], [5, 4, 3, 4]])
@pytest.mark.parametrize("biased", [False, True])
def test_any_padding(pads: list[int], biased: bool) -> None:
    net = Net(2, 5, 12, 14)
    inputs = [net.weights(3, 5, 9, 9), *([net.weights(3)] if biased else [])]
    value = net.node("Conv", "x", *inputs, name="head", pads=pads)
    after, applied = rewritten(net.finish(net.node("Tanh", value)), RULE)
    assert operators(after) == ["Conv", "DepthToSpace", "Tanh"]
    assert [node.name for node in after.graph.node][:2] == ["head", "head/depth_to_space"]
    assert [entry.node for entry in applied] == ["head"]


@pytest.mark.parametrize(
    ("outputs", "kernel", "size", "factor"),
    [
        (3, (3, 3), 8, 2),
        (1, (3, 3), 8, 4),
        (1, (3, 3), 6, 3),
        (2, (9, 9), 8, 4),
        (8, (9, 9), 8, 2),
        (3, (4, 4), 9, 2),
        (3, (1, 7), 8, 2),
    ],
)
def test_chooses_the_stride(outputs: int, kernel: tuple[int, int], size: int, factor: int) -> None:
    net = Net(1, 4, size, size)
    pads = [(k - 1) // 2 for k in kernel] * 2
    value = net.node("Conv", "x", net.weights(outputs, 4, *kernel), pads=pads)
    after, _ = rewritten(net.finish(value), RULE)
    conv = after.graph.node[0]
    assert next(a for a in conv.attribute if a.name == "strides").ints == [factor] * 2


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("kernel", [3, 5])
def test_auto_pad(auto_pad: str, kernel: int) -> None:
    net = Net(1, 4, 8, 8)
    value = net.node("Conv", "x", net.weights(3, 4, kernel, kernel), auto_pad=auto_pad)
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["Conv", "DepthToSpace"]


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((3, 4, 9, 9), {"pads": [0, 0, 1, 0]}),  # odd size
        ((3, 4, 3, 3), {"strides": [2, 2]}),
        ((3, 4, 3, 3), {"dilations": [2, 2]}),
        ((4, 1, 3, 3), {"group": 4}),
        ((12, 4, 7, 7), {"pads": [3] * 4}),  # fills its block
        ((3, 4, 1, 1), {}),  # nothing to gain
    ],
)
def test_leaves_what_cannot_gain(shape: tuple[int, ...], attributes: dict[str, object]) -> None:
    net = Net(1, 4, 16, 16)
    assert unchanged(net.finish(net.node("Conv", "x", net.weights(*shape), **attributes)), RULE)


@pytest.mark.parametrize("name", ["udnie", "fns_candy_nc16", "winml_candy_op17_256"])
def test_head_of_a_real_net(shared_suite: Path, name: str) -> None:
    _, applied = rewritten(load_model(shared_suite / f"{name}.onnx").proto, RULE)
    assert len(applied) == 1


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER"])
def test_leaves_one_dimension(auto_pad: str) -> None:
    net = Net(1, 3, 16)
    value = net.node("Conv", "x", net.weights(3, 3, 9), auto_pad=auto_pad)
    assert unchanged(net.finish(value), RULE)
