"""Operators that compute every element by itself, with broadcasting of their operands."""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from onnx import helper
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op

_UNARY: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": F.hardswish,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
}
_BINARY: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "And": operator.and_,
    "Equal": operator.eq,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
    "Mul": operator.mul,
    "Or": operator.or_,
    "Pow": operator.pow,
    "Sub": operator.sub,
    "Xor": operator.xor,
}
_VARIADIC: dict[str, Callable[..., Any]] = {
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Sum": operator.add,
    "Mean": operator.add,
}


@op(*_UNARY)
def unary(node: OpNode) -> fx.Node:
    """Y = f(X), element by element."""
    return node.emit(_UNARY[node.op_type], node.tensor(0))


@op(*_BINARY)
def binary(node: OpNode) -> fx.Node:
    """C = f(A, B), element by element."""
    return node.emit(_BINARY[node.op_type], node.operand(0), node.operand(1))


@op("Div")
def div(node: OpNode) -> fx.Node:
    """C = A / B; the quotient of integers is rounded towards zero."""
    a, b = node.operand(0), node.operand(1)
    tensor = a if isinstance(a, fx.Node) else b
    assert isinstance(tensor, fx.Node)
    if node.dtype(tensor).is_floating_point:
        return node.emit(operator.truediv, a, b)
    return node.emit(torch.div, a, b, rounding_mode="trunc")


@op("Mod")
def mod(node: OpNode) -> fx.Node:
    """C = remainder of A / B, with the sign of B, or with that of A if fmod=1."""
    function = torch.fmod if node.attr("fmod", 0) else torch.remainder
    return node.emit(function, node.operand(0), node.operand(1))


@op(*_VARIADIC)
def variadic(node: OpNode) -> fx.Node:
    """Max, Min, Sum or Mean of any number of operands."""
    function = _VARIADIC[node.op_type]
    first, *others = node.tensors()
    if not others:
        return first
    for value in others[:-1]:
        first = node.step(function, first, value)
    if node.op_type == "Mean":
        total = node.step(function, first, others[-1])
        return node.emit(operator.truediv, total, len(others) + 1)
    return node.emit(function, first, others[-1])


@op("Clip")
def clip(node: OpNode) -> fx.Node:
    """Y = min(max(X, min), max); the bounds are attributes before opset 11."""
    low = node.operand(1) if node.has(1) else node.attr("min")
    high = node.operand(2) if node.has(2) else node.attr("max")
    if low is None and high is None:
        return node.tensor(0)
    if isinstance(low, fx.Node) or isinstance(high, fx.Node):  # both or none of them computed
        low, high = (None if end is None else node.tensor(n) for n, end in ((1, low), (2, high)))
    return node.emit(torch.clamp, node.tensor(0), low, high)


@op("Where")
def where(node: OpNode) -> fx.Node:
    """Y = X where the condition holds, else the other operand."""
    return node.emit(torch.where, node.tensor(0), node.tensor(1), node.tensor(2))


@op("Cast", "CastLike")
def cast(node: OpNode) -> fx.Node:
    """Y = X in another element type."""
    x = node.tensor(0)
    if node.op_type == "CastLike":
        wanted = node.dtype(node.tensor(1))
    else:
        wanted = getattr(torch, helper.tensor_dtype_to_np_dtype(node.attr("to")).name)
    return x if node.dtype(x) == wanted else node.emit(Tensor.to, x, wanted)


@op("Identity", "Dropout")
def identity(node: OpNode) -> fx.Node:
    """Y = X: dropout is left out, as in inference."""
    return node.tensor(0)


@op("LeakyRelu")
def leaky_relu(node: OpNode) -> fx.Node:
    """Y = X where positive, else alpha X; alpha 0.01."""
    return node.emit(F.leaky_relu, node.tensor(0), node.attr("alpha", 0.01))


@op("PRelu")
def prelu(node: OpNode) -> fx.Node:
    """Y = X where positive, else slope X; the slope is one number, or one number per channel."""
    x, slope = node.tensor(0), node.weight(1)
    assert slope is not None
    shape = node.shape(slope)
    channels = node.shape(x)[1] if node.rank(x) > 1 else 1
    spatial = node.rank(x) - 2
    if torch.Size(shape).numel() == 1 or shape == (channels, *[1] * spatial):
        return node.emit(F.prelu, x, node.step(torch.flatten, slope))
    return node.emit(
        torch.where, node.step(operator.gt, x, 0), x, node.step(operator.mul, x, slope)
    )


@op("Elu")
def elu(node: OpNode) -> fx.Node:
    """Y = X where positive, else alpha (exp(X) - 1); alpha 1."""
    return node.emit(F.elu, node.tensor(0), node.attr("alpha", 1.0))


@op("Celu")
def celu(node: OpNode) -> fx.Node:
    """Y = max(0, X) + min(0, alpha (exp(X / alpha) - 1)); alpha 1."""
    return node.emit(F.celu, node.tensor(0), node.attr("alpha", 1.0))


@op("IsInf")
def is_inf(node: OpNode) -> fx.Node:
    """Y = whether X is infinite, of the signs asked for."""
    x, signs = node.tensor(0), (node.attr("detect_negative", 1), node.attr("detect_positive", 1))
    if all(signs):
        return node.emit(torch.isinf, x)
    if not any(signs):
        return node.emit(torch.zeros_like, x, dtype=torch.bool)
    return node.emit(torch.isneginf if signs[0] else torch.isposinf, x)


@op("Shrink")
def shrink(node: OpNode) -> fx.Node:
    """Y = X + bias below -lambd, X - bias above lambd, else 0; bias 0, lambd 0.5."""
    x, bias, lambd = node.tensor(0), node.attr("bias", 0.0), node.attr("lambd", 0.5)
    below, above = node.step(operator.add, x, bias), node.step(operator.sub, x, bias)
    upper = node.step(torch.where, node.step(operator.gt, x, lambd), above, 0.0)
    return node.emit(torch.where, node.step(operator.lt, x, -lambd), below, upper)


@op("Selu")
def selu(node: OpNode) -> fx.Node:
    """Y = gamma X where positive, else gamma alpha (exp(X) - 1)."""
    gamma = node.attr("gamma", 1.0507009873554805)
    grown = node.step(F.elu, node.tensor(0), node.attr("alpha", 1.6732632423543772))
    return node.emit(operator.mul, grown, gamma)


@op("ThresholdedRelu")
def thresholded_relu(node: OpNode) -> fx.Node:
    """Y = X where above alpha, else 0; alpha 1."""
    return node.emit(F.threshold, node.tensor(0), node.attr("alpha", 1.0), 0.0)


@op("Gelu")
def gelu(node: OpNode) -> fx.Node:
    """Y = X Phi(X), exactly or by tanh."""
    return node.emit(F.gelu, node.tensor(0), approximate=node.attr("approximate", "none"))


@op("Swish")
def swish(node: OpNode) -> fx.Node:
    """Y = X sigmoid(alpha X); alpha 1."""
    x, alpha = node.tensor(0), node.attr("alpha", 1.0)
    if alpha == 1:
        return node.emit(F.silu, x)
    gate = node.step(torch.sigmoid, node.step(operator.mul, x, alpha))
    return node.emit(operator.mul, x, gate)


@op("HardSigmoid")
def hard_sigmoid(node: OpNode) -> fx.Node:
    """Y = min(max(alpha X + beta, 0), 1); alpha 0.2, beta 0.5."""
    scaled = node.step(operator.mul, node.tensor(0), node.attr("alpha", 0.2))
    shifted = node.step(operator.add, scaled, node.attr("beta", 0.5))
    return node.emit(torch.clamp, shifted, 0.0, 1.0)
