"""What an engineer does without decig: a slimmer net, cut weights, fewer bits."""

UNIFORM, PRUNED = "uniform", "torch-pruning"
PEERS = (UNIFORM, PRUNED)
"""Those that train a PyTorch net of a width that is as fast as decig's result."""
CUT, CUT_TUNED = "onnxsim", "onnxsim-tuned"
"""The ONNX file cut by onnxsim, as it comes out, and trained on."""
ORT_INT8, NNCF = "onnxruntime-int8", "openvino-int8"
"""The teacher in eight bits, by ONNX Runtime's own quantiser and by NNCF."""
GENEROSITY = 1.03
"""A peer may take this many times as long as decig's result."""


def too_slow(method: str, ratio: float) -> str | None:
    """Say that not even the fastest that a peer can make is as fast as decig's result.

    Args:
        method: of the peer.
        ratio: latency of the fastest over that of decig's result, when they were matched.

    Returns:
        None where it is fast enough.
    """
    if ratio <= GENEROSITY:
        return None
    return f"not that fast: the fastest that {method} can make takes {ratio:.2f} times as long"
