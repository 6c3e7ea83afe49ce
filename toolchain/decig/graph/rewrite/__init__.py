"""Exact rewrites of the ONNX graph, one rule per file."""

from decig.graph.rewrite.engine import (
    ANY_SIZE,
    CANONICAL,
    DEVICE,
    NEED_FLOAT32,
    RULES,
    Applied,
    Refused,
    apply,
    explain,
)
from decig.graph.rewrite.rule import Rule

__all__ = [
    "ANY_SIZE",
    "CANONICAL",
    "DEVICE",
    "NEED_FLOAT32",
    "RULES",
    "Applied",
    "Refused",
    "Rule",
    "apply",
    "explain",
]
