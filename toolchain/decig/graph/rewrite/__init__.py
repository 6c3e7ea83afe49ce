"""Exact rewrites of the ONNX graph, one rule a file."""

from decig.graph.rewrite.engine import (
    ANY_SIZE,
    CANONICAL,
    DEVICE,
    NEED_FLOAT32,
    RULES,
    Applied,
    apply,
)

__all__ = ["ANY_SIZE", "CANONICAL", "DEVICE", "NEED_FLOAT32", "RULES", "Applied", "apply"]
