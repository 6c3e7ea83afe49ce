"""Graphs in half precision, in eight bits and in other operator sets.

The converters are those that come with ONNX Runtime and ONNX.
"""

import copy
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantType
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import load_model_with_shape_infer
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from decig.data.feeds import Feeds
from decig.device.run.device import Device
from decig.errors import BadInputError, first_line
from decig.graph.model import infer_shapes, opset
from decig.graph.operators import Int8, every

_IN_FLOAT32 = [entry.name for entry in every() if entry.in_float32]
_LAYERS, _BETWEEN = (
    [entry.name for entry in every() if entry.int8 is part] for part in (Int8.LAYER, Int8.BETWEEN)
)
_QUANTISED = [*_LAYERS, *_BETWEEN]
INT8_OPSET = 13
"""First operator set in which DequantizeLinear has a scale per channel."""


def to_fp16(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph in half precision with inputs, outputs and normalisations in float32.

    Raises:
        BadInputError: ONNX Runtime cannot convert it.
    """
    half = copy.deepcopy(proto)
    blocked = [*DEFAULT_OP_BLOCK_LIST, *_IN_FLOAT32]
    with _one_line_errors("fp16"):
        found = convert_float_to_float16(
            half, keep_io_types=True, op_block_list=blocked, disable_shape_infer=True
        )
        OnnxModel(found).topological_sort()  # casts were added at the end
    del found.graph.value_info[:]
    return infer_shapes(found)


@contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Say in one line why a converter of ONNX Runtime failed: it raises errors of any type."""
    try:
        yield
    except (BadInputError, OSError):  # a full disk is not the graph's fault
        raise
    except Exception as error:
        raise BadInputError(
            f"{what}: ONNX Runtime cannot convert the graph: {first_line(error)}"
        ) from error


def at_opset(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """Return a graph in another operator set; BadInputError if it cannot be converted."""
    try:
        return infer_shapes(version_converter.convert_version(proto, version), lenient=True)
    except Exception as error:  # the converter raises RuntimeError and classes of its own
        reason = str(error).rpartition("failed: ")[2].partition("\n")[0]
        raise BadInputError(f"opset {version}: the graph cannot be converted: {reason}") from error


class Quantiser:
    """Makes variants in eight bits of a float32 graph that is calibrated once.

    The variants have QuantizeLinear and DequantizeLinear around their layers. Weights are int8
    with one scale per output channel; the scale of activations follows from the least and the
    greatest value that they have on the calibration inputs.

    Attributes:
        layers: names of the nodes that have int8 kernels, in order.
    """

    def __init__(
        self, proto: onnx.ModelProto, feeds: Iterable[Feeds], *, symmetric: bool = False
    ) -> None:
        """Calibrate.

        Args:
            proto: a float32 graph; it is lifted to `INT8_OPSET` if it is older.
            feeds: calibration inputs, taken one by one.
            symmetric: whether activations are int8 around zero instead of uint8.

        Raises:
            BadInputError: the graph has no layer to quantise, or ONNX Runtime cannot do it.
        """
        self._proto = proto if opset(proto) >= INT8_OPSET else at_opset(proto, INT8_OPSET)
        self._symmetric = symmetric
        self.layers = [node.name for node in self._proto.graph.node if node.op_type in _LAYERS]
        if not self.layers:
            raise BadInputError("int8: the graph has no convolution or matrix product to quantise")
        with (
            _one_line_errors("int8"),
            tempfile.TemporaryDirectory(prefix="decig-") as name,
        ):
            before, augmented = Path(name) / "float32.onnx", Path(name) / "augmented.onnx"
            onnx.save(self._proto, before)
            self._inferred = load_model_with_shape_infer(before)
            calibrator = create_calibrator(before, _QUANTISED, augmented.as_posix())
            # Its own session would take every core of the machine, those of other programs too.
            calibrator.infer_session = Device.for_work().open(augmented, optimisation="none")
            calibrator.collect_data(_Reader(feeds))
            self._ranges = calibrator.compute_data()

    def __call__(self, in_float32: Iterable[str] = ()) -> onnx.ModelProto:
        """Return the graph in eight bits, except for these layers; errors as for `__init__`."""
        spared = set(in_float32)
        with _one_line_errors("int8"):
            found = self._quantised(spared)
        del found.metadata_props[:]
        found.metadata_props.extend(self._proto.metadata_props)
        return infer_shapes(found)

    def _quantised(self, spared: set[str]) -> onnx.ModelProto:
        quantizer = QDQQuantizer(
            copy.deepcopy(self._inferred),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if self._symmetric else QuantType.QUInt8,
            tensors_range=copy.deepcopy(self._ranges),  # it is changed
            nodes_to_quantize=[],
            nodes_to_exclude=[*spared, *_left_between(self._proto, spared)],
            op_types_to_quantize=_QUANTISED,
            extra_options={"ActivationSymmetric": self._symmetric, "WeightSymmetric": True},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        found: onnx.ModelProto = quantizer.model.model
        return found


def _left_between(proto: onnx.ModelProto, exclude: set[str]) -> list[str]:
    """Names of nodes of `_BETWEEN` that have a neighbour which is not in eight bits."""
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
    """Gives ONNX Runtime's calibration one input at a time."""

    def __init__(self, feeds: Iterable[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)
