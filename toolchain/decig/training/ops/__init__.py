"""ONNX operators as torch calls, by theme; `translate` does one node."""

from decig.training.ops import (
    batch_norm,
    constants,
    convolution,
    elementwise,
    fused,
    layout,
    normalisation,
    pad,
    pools,
    reduction,
    resize,
    scatter,
    spectrum,
)
from decig.training.ops.node import OpNode, Value
from decig.training.ops.registry import translate
from decig.training.ops.tracer import BATCH, EXTENT, Input, Tracer

__all__ = [
    "BATCH",
    "EXTENT",
    "Input",
    "OpNode",
    "Tracer",
    "Value",
    "batch_norm",
    "constants",
    "convolution",
    "elementwise",
    "fused",
    "layout",
    "normalisation",
    "pad",
    "pools",
    "reduction",
    "resize",
    "scatter",
    "spectrum",
    "translate",
]
