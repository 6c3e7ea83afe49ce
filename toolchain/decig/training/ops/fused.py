"""ONNX Runtime's fused operators of the domain com.microsoft, as its optimiser writes them."""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from decig.training.ops.convolution import conv, gemm
from decig.training.ops.node import OpNode
from decig.training.ops.registry import op

_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "Clip": torch.clamp,
    "LeakyRelu": F.leaky_relu,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
}


@op("FusedConv")
def fused_conv(node: OpNode) -> fx.Node:
    """Convolution, plus Z if there is one, and an activation with its parameters."""
    total = conv(node)
    if node.has(3):
        total = node.step(operator.add, total, node.tensor(3))
    return _activated(node, total, node.attr("activation_params", []))


@op("FusedGemm")
def fused_gemm(node: OpNode) -> fx.Node:
    """Gemm and an activation; its parameters are called activation_alpha and so on."""
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    given = [node.attr(name) for name in names if node.attr(name) is not None]
    return _activated(node, gemm(node), given)


def _activated(node: OpNode, x: fx.Node, parameters: list[Any]) -> fx.Node:
    name = node.attr("activation")
    if name is None:
        return x
    if name not in _ACTIVATIONS:
        raise node.error(f"activation {name} is not supported")
    return node.emit(_ACTIVATIONS[name], x, *parameters)


@op("FusedMatMul")
def fused_matmul(node: OpNode) -> fx.Node:
    """Y = alpha A' B', where the axes of A' and B' may be in another order."""
    a, b = _operand(node, 0, "A"), _operand(node, 1, "B")
    product = node.emit(torch.matmul, a, b)
    alpha = node.attr("alpha", 1.0)
    return product if alpha == 1 else node.step(operator.mul, product, alpha)


def _operand(node: OpNode, slot: int, letter: str) -> fx.Node:
    """Emit the transpositions of an operand: of its matrix, and of the first axis behind it.

    transBatch (com.microsoft.FusedMatMul) takes [rows, batch..., columns] for
    [batch..., rows, columns]; trans then swaps these two.
    """
    value = node.weight(slot)
    assert value is not None
    rank = node.rank(value)
    if node.attr(f"transBatch{letter}", 0):
        value = node.step(torch.movedim, value, 0, rank - 2)
    if node.attr(f"trans{letter}", 0):
        value = node.step(torch.transpose, value, -1, -2)
    return value


@op("FastGelu")
def fast_gelu(node: OpNode) -> fx.Node:
    """Y = gelu(X + bias), by tanh."""
    x = node.tensor(0)
    if node.has(1):
        x = node.step(operator.add, x, node.weight(1))
    return node.emit(F.gelu, x, approximate="tanh")


@op("QuickGelu")
def quick_gelu(node: OpNode) -> fx.Node:
    """Y = X sigmoid(alpha X); alpha 1.702."""
    x = node.tensor(0)
    gate = node.step(torch.sigmoid, node.step(operator.mul, x, node.attr("alpha", 1.702)))
    return node.emit(operator.mul, x, gate)
