"""The table of rules, filled by the modules beside it."""

from collections.abc import Callable

import onnx

from decig.graph.flow import Flow
from decig.graph.ids import Ids
from decig.graph.operators import in_known_domain
from decig.graph.registration import enter

Rule = Callable[[Flow, onnx.NodeProto], "Ids | list[Ids | None] | None"]
"""Takes the pass and a node; returns the identities of its output, or a list for several outputs.

It may raise KeyError for a shape that is not known, and IndexError or ValueError for shapes that do
not fit together: the pass then freezes what the node touches.
"""

RULES: dict[str, Rule] = {}
"""What is registered, by operator."""


def rule(*op_types: str) -> Callable[[Rule], Rule]:
    """Register a rule for operators of the default or the `com.microsoft` domain.

    Raises:
        ValueError: one of them has a rule already.
    """

    def register(function: Rule) -> Rule:
        for op_type in op_types:
            enter(RULES, op_type, function)
        return function

    return register


def find(node: onnx.NodeProto) -> Rule | None:
    """Return the rule of a node's operator, None for an operator the analysis does not know."""
    return RULES.get(node.op_type) if in_known_domain(node) else None
