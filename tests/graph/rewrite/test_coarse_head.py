"""A wide convolution with few outputs becomes one of 3 x 3 between tiles of pixels."""

from pathlib import Path

import numpy as np
import pytest

from decig.graph.model import initializers, load_model
from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "coarse_head"
FOLD = ["Reshape", "Transpose", "Reshape", "Transpose", "Reshape"]


@pytest.mark.parametrize(
    ("kernel", "pads", "size"),
    [
        ((9, 9), [4, 4, 4, 4], (12, 16)),
        ((9, 9), [0, 0, 0, 0], (20, 16)),
        ((9, 8), [4, 4, 4, 3], (8, 12)),
        ((8, 9), [0, 4, 3, 0], (16, 12)),
        ((9, 9), [4, 0, 0, 4], (12, 12)),
    ],
)
@pytest.mark.parametrize("biased", [False, True])
def test_any_padding(
    kernel: tuple[int, int], pads: list[int], size: tuple[int, int], biased: bool
) -> None:
    net = Net(2, 5, *size)
    inputs = [net.weights(3, 5, *kernel), *([net.weights(3)] if biased else [])]
    value = net.node("Conv", "x", *inputs, name="head", pads=pads)
    after, applied = rewritten(net.finish(net.node("Tanh", value)), RULE)
    assert operators(after) == [*FOLD, "Conv", "DepthToSpace", "Tanh"]
    assert [node.name for node in after.graph.node][5:7] == ["head", "head/depth_to_space"]
    assert [entry.node for entry in applied] == ["head"]
    weight = max(initializers(after).values(), key=lambda array: array.ndim)
    assert weight.shape == (48, 80, 3, 3)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
def test_auto_pad(auto_pad: str) -> None:
    net = Net(1, 4, 8, 8)
    value = net.node("Conv", "x", net.weights(3, 4, 9, 9), auto_pad=auto_pad)
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == [*FOLD, "Conv", "DepthToSpace"]


def test_winograd_takes_it_from_there() -> None:
    net = Net(1, 8, 32, 32)
    value = net.node("Conv", "x", net.weights(3, 8, 9, 9), net.weights(3), pads=[4] * 4)
    after, applied = rewritten(net.finish(value), RULE, "winograd", "depth_to_space")
    assert [entry.rule for entry in applied] == [RULE, "winograd", "depth_to_space"]
    assert "DepthToSpace" not in operators(after)


def test_a_shared_weight_stays_what_it_was() -> None:
    net = Net(1, 4, 8, 8)
    shared = net.weights(3, 4, 9, 9)
    values = [
        net.node("Conv", "x", shared, pads=[4] * 4),
        net.node("Conv", "x", shared, pads=[4] * 4, strides=[2, 2]),
    ]
    after, applied = rewritten(net.finish(*values), RULE)
    assert len(applied) == 1
    assert sorted(np.prod(a.shape) for a in initializers(after).values() if a.ndim == 4) == [
        3 * 4 * 81,
        48 * 64 * 9,
    ]


@pytest.mark.parametrize(
    ("shape", "size", "attributes"),
    [
        ((3, 4, 9, 9), 10, {"pads": [4] * 4}),  # no whole tiles
        ((3, 4, 9, 9), 16, {"pads": [3] * 4}),  # four tiles
        ((3, 4, 9, 9), 16, {"pads": [4] * 4, "strides": [2, 2]}),
        ((3, 4, 5, 5), 16, {"pads": [4] * 4, "dilations": [2, 2]}),
        ((4, 1, 9, 9), 16, {"pads": [4] * 4, "group": 4}),
        ((16, 4, 9, 9), 16, {"pads": [4] * 4}),  # fills its block
        ((3, 3, 9, 9), 16, {"pads": [4] * 4}),  # too few inputs
        ((3, 4, 7, 7), 16, {"pads": [3] * 4}),  # its phases are as good
        ((3, 4, 3, 3), 16, {"pads": [1] * 4}),
    ],
)
def test_leaves_what_cannot_gain(
    shape: tuple[int, ...], size: int, attributes: dict[str, object]
) -> None:
    net = Net(1, shape[1] * attributes.get("group", 1), size, size)
    assert unchanged(net.finish(net.node("Conv", "x", net.weights(*shape), **attributes)), RULE)


@pytest.mark.parametrize("name", ["udnie", "fns_candy_nc16", "winml_candy_op17_256"])
def test_head_of_a_real_net(shared_suite: Path, name: str) -> None:
    _, applied = rewritten(load_model(shared_suite / f"{name}.onnx").proto, RULE)
    assert len(applied) == 1
