"""InstanceNormalization is recognised in its spellings, and nothing else is taken for it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from decig.graph.model import load_model
from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "join_instancenorm"
C, H, W = 3, 8, 6

Mean = Callable[[Net, str], str]
Square = Callable[[Net, str], str]


def by_axes(net: Net, value: str) -> str:
    return net.node("ReduceMean", value, net.constant([2, 3], np.int64))


def by_negative_axes(net: Net, value: str) -> str:
    return net.node("ReduceMean", value, net.constant([-1, -2], np.int64))


def by_pool(net: Net, value: str) -> str:
    return net.node("GlobalAveragePool", value)


def by_reshape(net: Net, value: str) -> str:
    flat = net.node("Reshape", value, net.constant([1, C, 1, -1], np.int64))
    return net.node("ReduceMean", flat, net.constant([3], np.int64))


def over_rows(net: Net, value: str) -> str:
    return net.node("ReduceMean", value, net.constant([2], np.int64))


def over_everything(net: Net, value: str) -> str:
    return net.node("ReduceMean", value, net.constant([1, 2, 3], np.int64))


def product(net: Net, value: str) -> str:
    return net.node("Mul", value, value)


def power(net: Net, value: str) -> str:
    return net.node("Pow", value, net.constant(2.0))


def nudged(net: Net, value: str) -> str:
    return net.node("Mul", value, net.node("Add", value, net.constant([1e-9])))


def cube(net: Net, value: str) -> str:
    return net.node("Abs", net.node("Pow", value, net.constant(3.0)))


def norm(net: Net, value: str, mean: Mean = by_axes, square: Square = product) -> str:
    difference = net.node("Sub", value, mean(net, value))
    variance = mean(net, square(net, difference))
    root = net.node("Sqrt", net.node("Add", variance, net.constant(1e-3)))
    return net.node("Div", difference, root, name="norm")


@pytest.mark.parametrize("square", [product, power, nudged])
@pytest.mark.parametrize("mean", [by_axes, by_negative_axes, by_pool, by_reshape])
def test_joins_each_spelling(mean: Mean, square: Square) -> None:
    net = Net(1, C, H, W)
    scaled = net.node("Mul", norm(net, "x", mean, square), net.weights(C, 1, 1))
    shifted = net.node("Add", net.weights(1, C, 1, 1), scaled)
    after, applied = rewritten(net.finish(net.node("Relu", shifted)), RULE)
    assert operators(after) == ["InstanceNormalization", "Relu"]
    assert [entry.node for entry in applied] == ["norm"] == [after.graph.node[0].name]


@pytest.mark.parametrize("affine", ["none", "scale", "shift", "scalars"])
def test_scale_and_shift_are_optional(affine: str) -> None:
    net = Net(1, C, H, W)
    value = norm(net, "x")
    shape = () if affine == "scalars" else (C, 1, 1)
    if affine in ("scale", "scalars"):
        value = net.node("Mul", value, net.weights(*shape))
    if affine in ("shift", "scalars"):
        value = net.node("Add", value, net.weights(*shape))
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["InstanceNormalization"]


def test_leaves_a_residual_add_alone() -> None:
    net = Net(1, C, H, W)
    after, _ = rewritten(net.finish(net.node("Add", norm(net, "x"), "x")), RULE)
    assert operators(after) == ["InstanceNormalization", "Add"]


def test_leaves_a_map_shaped_constant_alone() -> None:
    net = Net(1, C, H, W)
    scaled = net.node("Mul", norm(net, "x"), net.weights(W))
    after, _ = rewritten(net.finish(scaled), RULE)
    assert operators(after) == ["InstanceNormalization", "Mul"]


def test_keeps_what_others_read() -> None:
    net = Net(1, C, H, W)
    difference = net.node("Sub", "x", by_axes(net, "x"), name="difference")
    variance = by_axes(net, product(net, difference))
    root = net.node("Sqrt", net.node("Add", variance, net.constant(1e-3)))
    after, _ = rewritten(net.finish(net.node("Div", difference, root), difference), RULE)
    assert sorted(operators(after)) == ["InstanceNormalization", "ReduceMean", "Sub"]


@pytest.mark.parametrize("mean", [over_rows, over_everything])
def test_leaves_means_over_other_axes(mean: Mean) -> None:
    net = Net(1, C, H, W)
    assert unchanged(net.finish(norm(net, "x", mean)), RULE)


def test_leaves_what_is_no_variance() -> None:
    net = Net(1, C, H, W)
    assert unchanged(net.finish(norm(net, "x", square=cube)), RULE)


def test_joins_all_of_a_real_net(shared_suite: Path) -> None:
    proto = load_model(shared_suite / "fns_candy_nc16.onnx").proto
    after, applied = rewritten(proto, RULE)
    assert len(applied) == 15
    assert operators(after).count("InstanceNormalization") == 15
    assert not {"Sqrt", "Div", "ReduceMean"} & set(operators(after))
    onnx.checker.check_model(after)


def test_leaves_types_that_onnx_runtime_has_no_kernel_for() -> None:
    net = Net(1, C, H, W, dtype=np.float64)
    after, applied = rewritten(net.finish(norm(net, "x")))
    assert not applied
    assert "InstanceNormalization" not in operators(after)


def test_halves_are_joined() -> None:
    net = Net(1, C, H, W, dtype=np.float16)
    scaled = net.node("Mul", norm(net, "x"), net.weights(C, 1, 1))
    after, _ = rewritten(net.finish(scaled), RULE, tolerance=5e-3)
    assert operators(after) == ["InstanceNormalization"]


def test_leaves_an_epsilon_that_widens() -> None:
    net = Net(1, C, H, W)
    difference = net.node("Sub", "x", by_axes(net, "x"))
    variance = by_axes(net, product(net, difference))
    total = net.node("Add", variance, net.constant(np.full((1, 1, 1, 1, 1), 1e-3)))
    assert unchanged(net.finish(net.node("Div", difference, net.node("Sqrt", total))), RULE)
