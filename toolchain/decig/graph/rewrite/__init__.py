"""Exact rewrites of the ONNX graph, one rule a file."""
