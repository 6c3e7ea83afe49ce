"""Exact rewrites of the ONNX graph, one rule a file."""

from decig.graph.rewrite.engine import CANONICAL, DEVICE, RULES, Applied, apply

__all__ = ["CANONICAL", "DEVICE", "RULES", "Applied", "apply"]
