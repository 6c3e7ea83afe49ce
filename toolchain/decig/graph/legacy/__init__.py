"""Old ONNX brought up to operators that current tools know: one step before the normal form."""

from decig.graph.legacy.modernise import modernise

__all__ = ["modernise"]
