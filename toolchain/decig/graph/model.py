"""Loading an ONNX file into the normal form that everything else works on, and saving one.

Normal form: checked by ONNX, static shapes that fit together, constants folded into initializers,
no initializer listed as an input, none read by two nodes unless they share a weight
(`decig.graph.sharing`), every node named, the shape of every value inferred. BatchNormalization is
kept: training needs it, export folds it.
"""

import contextlib
import copy
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from decig.errors import BadInputError, first_line
from decig.graph import sharing
from decig.graph.axes import OpenAxes, open_axes
from decig.graph.fit import require_fitting_sizes
from decig.graph.folding import fold_constants
from decig.graph.inference import infer_shapes, opset, shapes
from decig.graph.numbers import require_numbers
from decig.graph.operands import MisfitError
from decig.graph.prepare import prepare
from decig.graph.size_inputs import Values
from decig.graph.storage import read_model, save_model

__all__ = [
    "Model",
    "ValueInfo",
    "infer_shapes",
    "initializers",
    "input_info",
    "load_model",
    "normalise",
    "opset",
    "output_info",
    "replace_initializers",
    "save_model",
    "shapes",
]

_REASON_LINES = 3
"""Lines of a message of ONNX's checker that are shown: the second and third name the node."""
_MISFIT = re.compile(r"\(op_type:(\w+)(?:, node name: (.*?))?\): \[\w+\] ([^\n]*)")
"""Operator, node and reason in a message of ONNX's shape inference."""


@dataclass(frozen=True)
class Model:
    """An ONNX graph in normal form.

    Attributes:
        proto: the normalised graph.
        sha256: digest of the file's bytes; ties cost tables and plans to this graph.
        path: where it was read.
        axes: how to give a graph made from this one the file's dynamic axes; None if it has none.
    """

    proto: onnx.ModelProto
    sha256: str
    path: Path
    axes: OpenAxes | None = None

    def reopen(self, proto: onnx.ModelProto) -> onnx.ModelProto:
        """Give a graph made from this one the dynamic axes of the file; see `OpenAxes.reopen`."""
        return proto if self.axes is None else self.axes.reopen(proto)


@dataclass(frozen=True)
class ValueInfo:
    """Name, static shape and element type of a graph input or output.

    The type is `object` for a value that is no tensor.
    """

    name: str
    shape: list[int]
    dtype: np.dtype


def load_model(
    path: Path | str,
    input_shapes: dict[str, list[int]] | None = None,
    values: Values | None = None,
) -> Model:
    """Read an ONNX file, check it and bring it into normal form.

    Args:
        path: the `.onnx` file; external data is read from beside it.
        input_shapes: full shapes for inputs whose axes are dynamic. A dynamic first axis
            without one becomes 1; a file that decig wrote names the sizes it was analysed at.
        values: numbers that feed inputs; of use are those of inputs that set sizes
            (`decig.graph.size_inputs`).

    Raises:
        BadInputError: the file is missing, no ONNX, fails the ONNX checker, or has a dynamic
            axis that no shape was given for.
    """
    path = Path(path)
    with _one_line_errors(path, input_shapes or {}):
        proto, sha256 = read_model(path)
        if not proto.graph.node:
            raise BadInputError("not a usable ONNX file: its graph has no nodes")
        static, axes = _normalise(proto, input_shapes, values)
        return Model(static, sha256, path, axes)


def normalise(
    proto: onnx.ModelProto,
    input_shapes: dict[str, list[int]] | None = None,
    values: Values | None = None,
) -> onnx.ModelProto:
    """Bring a graph into normal form (see the module's docstring); the argument is not changed."""
    return _normalise(copy.deepcopy(proto), input_shapes, values)[0]


def _normalise(
    proto: onnx.ModelProto, input_shapes: dict[str, list[int]] | None, values: Values | None
) -> tuple[onnx.ModelProto, OpenAxes | None]:
    proto, types = prepare(proto, input_shapes or {}, values or {})
    _require_whole(proto.graph)
    file, proto = fold_constants(proto)
    _name_nodes(proto.graph)
    require_numbers(proto.graph, file.graph)
    twins = sharing.part(proto.graph)
    infer_shapes(proto)
    require_fitting_sizes(proto)
    sharing.join(proto)
    return proto, open_axes(types, file.graph, proto, twins)


def input_info(proto: onnx.ModelProto) -> list[ValueInfo]:
    """Describe the graph's inputs."""
    return [_value_info(value) for value in proto.graph.input]


def output_info(proto: onnx.ModelProto) -> list[ValueInfo]:
    """Describe the graph's outputs."""
    return [_value_info(value) for value in proto.graph.output]


def initializers(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Every initializer of the graph as an array, by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def replace_initializers(proto: onnx.ModelProto, arrays: dict[str, np.ndarray]) -> None:
    """Replace initializers by the arrays of the same names, in `proto` itself."""
    for index, tensor in enumerate(proto.graph.initializer):
        if tensor.name in arrays:
            array = numpy_helper.from_array(np.asarray(arrays[tensor.name]), tensor.name)
            proto.graph.initializer[index].CopyFrom(array)


def _value_info(value: onnx.ValueInfoProto) -> ValueInfo:
    if not value.type.HasField("tensor_type"):
        return ValueInfo(value.name, [], np.dtype(object))
    tensor_type = value.type.tensor_type
    shape = [dim.dim_value for dim in tensor_type.shape.dim]
    return ValueInfo(value.name, shape, helper.tensor_dtype_to_np_dtype(tensor_type.elem_type))


@contextlib.contextmanager
def _one_line_errors(path: Path, input_shapes: dict[str, list[int]]) -> Iterator[None]:
    """Turn what the ONNX tools raise into one line that names the file, or the sizes asked for.

    On a damaged file they raise anything: UnicodeDecodeError, KeyError, classes of their own.
    """
    try:
        yield
    except MisfitError as error:
        given = f" (--input-shape {_listed(input_shapes)})" if input_shapes else ""
        raise BadInputError(f"{path}: {error}{given}") from error
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from error
    except Exception as error:
        if input_shapes and isinstance(error, shape_inference.InferenceError):
            raise BadInputError(
                f"{path}: the graph does not fit together with --input-shape "
                f"{_listed(input_shapes)}: "
                f"{_first_misfit(error)}; give another size, or export the model again"
            ) from error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[:_REASON_LINES]) or type(error).__name__
        raise BadInputError(f"{path}: not a valid ONNX graph: {reason}") from error


def _listed(input_shapes: dict[str, list[int]]) -> str:
    """Shapes of inputs as people type them."""
    shapes = ((name, ",".join(map(str, sizes))) for name, sizes in input_shapes.items())
    return " ".join(f"{name}:{shape}" if name else shape for name, shape in shapes)


def _first_misfit(error: shape_inference.InferenceError) -> str:
    """What shape inference says of the first node at which sizes do not fit; the rest follows."""
    found = _MISFIT.search(str(error))
    if found is None:
        return first_line(error)
    return f"{' '.join(part for part in found.group(1, 2) if part)}: {found.group(3)}"


def _require_whole(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        try:
            numpy_helper.to_array(tensor)
        except ValueError as error:
            raise BadInputError(
                f"initializer {tensor.name} has too little or too much data for its shape "
                f"{list(tensor.dims)}: is its data file complete?"
            ) from error


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a unique name, keeping the names it can."""
    taken = Counter(node.name for node in graph.node)
    for index, node in enumerate(graph.node):
        if not node.name or taken[node.name] > 1:
            stem = node.name or node.op_type
            name = f"{stem}_{index}"
            while name in taken:
                name += "_"
            taken[name] = 1
            node.name = name
