"""Nearest upsampling in any spelling becomes one node."""

from pathlib import Path

import numpy as np
import pytest

from decig.graph.model import load_model
from tests.graph.rewrite.small import Net, operators, rewritten, run, unchanged

RULE = "join_upsample"
N, C, H, W = 2, 3, 4, 5


def reshape(net: Net, value: str, *shape: int) -> str:
    return net.node("Reshape", value, net.constant(shape, np.int64))


def by_concat(net: Net, value: str) -> str:
    value = reshape(net, value, -1, 1)
    value = reshape(net, net.node("Concat", value, value, axis=1), -1, 2 * W)
    return reshape(net, net.node("Concat", value, value, axis=1), N, C, 2 * H, 2 * W)


def by_expand(net: Net, value: str) -> str:
    value = reshape(net, value, N, C, H, 1, W, 1)
    value = net.node("Expand", value, net.constant([N, C, H, 3, W, 3], np.int64))
    return reshape(net, value, N, C, 3 * H, 3 * W)


def by_tile(net: Net, value: str) -> str:
    value = net.node("Unsqueeze", value, net.constant([3, 5], np.int64))
    value = net.node("Tile", value, net.constant([1, 1, 1, 2, 1, 2], np.int64))
    return reshape(net, value, N, C, 2 * H, 2 * W)


def by_transpose(net: Net, value: str) -> str:
    value = net.node("Unsqueeze", value, net.constant([0], np.int64))
    value = net.node("Concat", value, value, value, value, axis=0)
    value = reshape(net, value, 2, 2, N, C, H, W)
    value = net.node("Transpose", value, perm=[2, 3, 4, 0, 5, 1])
    return reshape(net, value, N, C, 2 * H, 2 * W)


@pytest.mark.parametrize("spelling", [by_concat, by_expand, by_tile, by_transpose])
def test_any_spelling(spelling) -> None:
    net = Net(N, C, H, W, opset=13)
    value = spelling(net, net.node("Relu", "x"))
    after, applied = rewritten(net.finish(net.node("Tanh", value)), RULE)
    assert operators(after) == ["Relu", "Resize", "Tanh"]
    assert len(applied) == 1


@pytest.mark.parametrize(("opset", "op_type"), [(9, "Upsample"), (10, "Resize"), (11, "Resize")])
def test_older_operator_sets(opset: int, op_type: str) -> None:
    net = Net(N, C, H, W, opset=opset)
    after, _ = rewritten(net.finish(by_concat(net, "x")), RULE)
    assert operators(after) == [op_type]


def test_half_floats_run_before_and_after() -> None:
    net = Net(N, C, H, W, opset=13, dtype=np.float16)
    proto = net.finish(net.node("Tanh", by_expand(net, net.node("Relu", "x"))))
    after, _ = rewritten(proto, RULE)
    assert operators(after) == ["Relu", "Resize", "Tanh"]
    for before, now in zip(run(proto), run(after), strict=True):
        assert before.dtype == now.dtype
        np.testing.assert_array_equal(before, now)


def test_leaves_other_moves() -> None:
    net = Net(N, C, H, W, opset=13)
    value = net.node("Unsqueeze", "x", net.constant([3], np.int64))
    value = net.node("Tile", value, net.constant([1, 1, 1, 4, 1], np.int64))
    assert unchanged(net.finish(reshape(net, value, N, C, 2 * H, 2 * W)), RULE)


def test_leaves_moves_of_several_values() -> None:
    net = Net(N, C, H, W, opset=13)
    one, other = reshape(net, "x", -1, 1), reshape(net, net.node("Relu", "x"), -1, 1)
    value = reshape(net, net.node("Concat", one, other, axis=1), -1, 2 * W)
    value = net.node("Concat", value, value, axis=1)
    assert unchanged(net.finish(reshape(net, value, N, C, 2 * H, 2 * W)), RULE)


def test_a_real_net(shared_suite: Path) -> None:
    proto = load_model(shared_suite / "fns_candy_nc16.onnx").proto
    after, _ = rewritten(proto, "drop_neutral", RULE)
    assert operators(after).count("Upsample") == 2
    phases, _ = rewritten(proto, "drop_neutral", RULE, "resize_into_transpose")
    assert operators(phases).count("ConvTranspose") == 2


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_leaves_types_that_onnx_runtime_does_not_resize(dtype: type) -> None:
    net = Net(N, C, H, W, opset=13, dtype=dtype)
    _, applied = rewritten(net.finish(by_concat(net, "x")))
    assert not applied
