"""Graphs in half precision and in eight bits, by the converters that come with ONNX Runtime."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from decig.deploy.inputs import Feeds
from decig.errors import BadInputError
from decig.graph.model import infer_shapes

_IN_FLOAT32 = (
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LpNormalization",
    "MeanVarianceNormalization",
    "RMSNormalization",
    "GlobalAveragePool",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMean",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Softmax",
    "LogSoftmax",
)
_LAYERS = ("Conv", "Gemm", "MatMul")
# What only moves or compares numbers between the layers.
_BETWEEN = ("Concat", "MaxPool", "Resize")


def to_fp16(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph in half precision with inputs, outputs and normalisations in float32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    blocked = [*DEFAULT_OP_BLOCK_LIST, *_IN_FLOAT32]
    found = convert_float_to_float16(
        copy, keep_io_types=True, op_block_list=blocked, disable_shape_infer=True
    )
    OnnxModel(found).topological_sort()  # casts were added at the end
    del found.graph.value_info[:]
    return infer_shapes(found)


def to_int8(
    proto: onnx.ModelProto,
    feeds: Iterable[Feeds],
    *,
    symmetric: bool = False,
    exclude: Iterable[str] = (),
) -> onnx.ModelProto:
    """Return a graph with QuantizeLinear and DequantizeLinear around its layers.

    Weights are int8 with a scale for each output channel; activations take the least and the
    greatest value that they have on `feeds`.

    Args:
        proto: a float32 graph.
        feeds: calibration inputs, taken one by one.
        symmetric: activations are int8 around zero in the place of uint8.
        exclude: names of nodes that stay in float32.

    Raises:
        BadInputError: the graph has no layer left to quantise.
    """
    if not set(quantisable(proto)) - set(exclude):
        raise BadInputError("int8: the graph has no convolution or matrix product to quantise")
    marked = onnx.ModelProto()
    marked.CopyFrom(proto)
    add_pre_process_metadata(marked)  # shapes are inferred and constants folded
    with tempfile.TemporaryDirectory(prefix="decig-") as name:
        before, after = Path(name) / "float32.onnx", Path(name) / "int8.onnx"
        onnx.save(marked, before)  # given the graph itself, it would move the weights elsewhere
        quantize_static(
            before,
            after,
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*_LAYERS, *_BETWEEN],
            per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*exclude, *_left_between(proto, set(exclude))],
            extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True},
        )
        found = onnx.load(after)
    del found.metadata_props[:]
    found.metadata_props.extend(proto.metadata_props)
    return infer_shapes(found)


def quantisable(proto: onnx.ModelProto) -> list[str]:
    """Names of the layers that have int8 kernels, in order."""
    return [node.name for node in proto.graph.node if node.op_type in _LAYERS]


def _left_between(proto: onnx.ModelProto, exclude: set[str]) -> list[str]:
    """Names of nodes that move numbers, but not from int8 layers to int8 layers alone."""
    nodes = [node for node in proto.graph.node if node.op_type in _LAYERS + _BETWEEN]
    inside = {node.name for node in nodes if node.name not in exclude}
    makers = {name: node.name for node in proto.graph.node for name in node.output}
    readers: dict[str, set[str]] = {value.name: {""} for value in proto.graph.output}
    for node in proto.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.name)
    constants = {tensor.name for tensor in proto.graph.initializer} | {""}
    between = [node for node in nodes if node.op_type in _BETWEEN]
    found: list[str] = []
    while True:
        left = [
            node.name
            for node in between
            if node.name in inside
            and not (
                {makers.get(name, "") for name in set(node.input) - constants} <= inside
                and readers.get(node.output[0], set()) <= inside
            )
        ]
        if not left:
            return found
        inside -= set(left)
        found += left


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands out one input at a time."""

    def __init__(self, feeds: Iterable[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)
