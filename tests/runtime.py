"""ONNX Runtime as any program opens it, to compare with: independent of decig's sessions."""

from pathlib import Path

import onnx
import onnxruntime as ort

_FATAL_ONLY = 4


def open_plain(model: onnx.ModelProto | Path, *, optimise: bool = True) -> ort.InferenceSession:
    """Open a model on the CPU with one thread, with or without ONNX Runtime's optimisations."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = _FATAL_ONLY
    if not optimise:
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    return ort.InferenceSession(source, settings, providers=["CPUExecutionProvider"])
