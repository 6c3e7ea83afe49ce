"""The table of operators, filled by the modules beside it.

An operator is one small function. It takes an `OpNode`, emits the torch calls that compute the
ONNX node, and returns the fx node of its output, or a tuple of them for several outputs; or an
array where the output is constant.
"""

from collections.abc import Callable
from typing import TypeVar

from torch import fx

from decig.graph.registration import enter
from decig.training.ops.node import OpNode, Value

Operator = Callable[[OpNode], "Value | tuple[fx.Node, ...]"]

_Given = TypeVar("_Given", bound=Operator)

OPERATORS: dict[str, Operator] = {}
"""What is registered, by operator."""


def op(*op_types: str) -> Callable[[_Given], _Given]:
    """Register a function for operators of the default or the `com.microsoft` domain.

    Raises:
        ValueError: one of them has a function already.
    """

    def register(function: _Given) -> _Given:
        operator: Operator = function
        for op_type in op_types:
            enter(OPERATORS, op_type, operator)
        return function

    return register


def translate(node: OpNode) -> tuple[Value, ...]:
    """Emit the torch calls of one ONNX node; returns its outputs in order.

    Raises:
        BadInputError: the operator, or a setting of it, has no torch counterpart here.
    """
    known = node.domain in ("", "ai.onnx", "com.microsoft")
    operator = OPERATORS.get(node.op_type) if known else None
    if operator is None:
        raise node.error(
            f"the operator {node.domain}{node.domain and '.'}{node.op_type} cannot "
            "be trained; freeze or replace it"
        )
    outputs = operator(node)
    return outputs if isinstance(outputs, tuple) else (outputs,)
