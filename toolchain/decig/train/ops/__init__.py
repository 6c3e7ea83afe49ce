"""ONNX operators as torch calls, by theme; `translate` does one node."""

from decig.train.ops import (
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
from decig.train.ops.node import OpNode, Value
from decig.train.ops.registry import translate
from decig.train.ops.tracer import BATCH, EXTENT, Input, Tracer

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
