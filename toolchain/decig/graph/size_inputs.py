"""Inputs of a graph whose values set sizes inside it: the scales of a Resize, a downsample ratio.

Shapes are only known at given values of these inputs. So the graph is analysed at the values that
are declared for them, as it is at given shapes of the others: a constant stands for the value. The
file that is written takes the input again (`decig.graph.axes`).
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from decig.errors import BadInputError
from decig.graph.inference import all_nodes, inputs_of, subgraphs
from decig.graph.operators import Kind, find

Values = Mapping[str, Sequence[float]]
"""Numbers that are declared to feed inputs, by name; a single one is for all elements."""

VALUES_KEY = "decig.input_values"
"""Entry of a file's metadata: the values of such inputs at which decig analysed it, as JSON."""

_MOST = 16
"""Most elements of an input that is taken for sizes."""
_AXES = 2
"""An input that sets sizes has fewer axes than this."""

_ALL_BUT_FIRST = frozenset(
    ("CenterCropPad", "Expand", "Reshape", "Resize", "Slice", "Split", "Tile", "TopK", "Upsample")
)
"""Operators of whose output every input but the first sets the sizes."""
_SLOTS = {
    "AffineGrid": (1,),
    "ConstantOfShape": (0,),
    "MaxUnpool": (2,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
}
"""The slots of others that do."""
_MAY_BE_ZERO = frozenset(("Slice",))
"""Operators at which whole numbers that nobody declares are taken as 0: positions, not sizes."""


def state_values(proto: onnx.ModelProto, values: Values) -> None:
    """Let a graph read inputs that set sizes through an Identity each, whose result is known.

    Args:
        proto: the graph, input shapes static; it is changed. Its metadata will hold the values.
        values: what is declared to feed inputs; other inputs may be among them.

    Raises:
        BadInputError: such an input has no value; names the input, the node and the flag.
    """
    stated = analysed_values(proto) | dict(values)
    found: dict[str, list[float]] = {}
    for value in proto.graph.input:
        node = _sized_by(proto.graph, value.name) if _may_set_sizes(value) else None
        if node is None:
            continue
        if value.name not in stated:
            if node.op_type in _MAY_BE_ZERO:
                continue
            raise BadInputError(_question(value, node))
        found[value.name] = _fitted(value, stated[value.name])
    if not found:
        return
    inner = {_inner(name) for name in found}  # a file that decig wrote has them
    kept = (node for node in proto.graph.node if inner.isdisjoint(node.output))
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in kept]
    for node in nodes:
        _read_inner(node, found)
    del proto.graph.node[:]
    proto.graph.node.extend(
        helper.make_node("Identity", [name], [_inner(name)], name=_inner(name)) for name in found
    )
    proto.graph.node.extend(nodes)
    props = {prop.key: prop.value for prop in proto.metadata_props}
    helper.set_model_props(proto, props | {VALUES_KEY: json.dumps(found)})


def with_values(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph in which constants stand for the values of inputs that set sizes.

    The graph itself where there are none; the inputs stay, and nothing reads them.
    """
    known = {_inner(name): array for name, array in value_arrays(proto).items()}
    if not known:
        return proto
    fixed = onnx.ModelProto()
    fixed.CopyFrom(proto)
    kept = [node for node in proto.graph.node if node.output[0] not in known]
    del fixed.graph.node[:]
    fixed.graph.node.extend(kept)
    fixed.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in known.items()
    )
    return fixed


def value_arrays(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Values of the inputs that set sizes at which a graph was analysed, as it takes them."""
    found = {}
    stated = analysed_values(proto)
    for value in proto.graph.input:
        if value.name in stated:
            kind = value.type.tensor_type
            shape = tuple(dim.dim_value for dim in kind.shape.dim)
            dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
            found[value.name] = np.array(stated[value.name]).astype(dtype).reshape(shape)
    return found


def analysed_values(proto: onnx.ModelProto) -> dict[str, list[float]]:
    """Values of inputs that set sizes, by name, at which decig analysed a file.

    Raises:
        BadInputError: the entry in the file's metadata is damaged.
    """
    entry = next((p.value for p in proto.metadata_props if p.key == VALUES_KEY), "{}")
    try:
        found = {name: [float(n) for n in numbers] for name, numbers in json.loads(entry).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInputError(f"metadata {VALUES_KEY} is damaged: {error}") from error
    return found


def _read_inner(node: NodeProto, names: Collection[str]) -> None:
    """Let a node, and the graphs inside it, read the Identity behind each of these inputs."""
    node.input[:] = [_inner(name) if name in names else name for name in node.input]
    for graph in subgraphs(node):
        for inner in graph.node:
            _read_inner(inner, names)


def _inner(name: str) -> str:
    """Name under which nodes read the value of an input."""
    return f"{name}/analysed"


def _may_set_sizes(value: onnx.ValueInfoProto) -> bool:
    dims = value.type.tensor_type.shape.dim
    elements = math.prod(dim.dim_value for dim in dims)
    return len(dims) < _AXES and 0 < elements <= _MOST


def _sized_by(graph: onnx.GraphProto, name: str) -> NodeProto | None:
    """Return a node whose output's size is computed from the value of an input; None if none is.

    One at which somebody has to declare the value comes first.
    """
    derived, found = {name}, []
    for node in all_nodes(graph):
        if any(read in derived for read in _size_operands(node)):
            found.append(node)
        if find(node).kind is not Kind.SIZE and derived.intersection(inputs_of(node)):
            derived.update(filter(None, node.output))
    return min(found, key=lambda node: node.op_type in _MAY_BE_ZERO, default=None)


def _size_operands(node: NodeProto) -> Iterator[str]:
    if node.op_type in _ALL_BUT_FIRST:
        yield from node.input[1:]
    for slot in _SLOTS.get(node.op_type, ()):
        yield from node.input[slot : slot + 1]


def _question(value: onnx.ValueInfoProto, node: NodeProto) -> str:
    dims = value.type.tensor_type.shape.dim
    elements = math.prod(dim.dim_value for dim in dims)
    is_float = value.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
    number = "0.5" if is_float else "64"
    what = "number" if elements == 1 else f"{elements} numbers"
    return (
        f"input {value.name} sets sizes inside the model ({node.op_type} "
        f"{node.name or node.output[0]}): give its {what}, as in --feed "
        f"{value.name}={','.join([number] * elements)} or under [feeds] in a recipe"
    )


def _fitted(value: onnx.ValueInfoProto, numbers: Sequence[float]) -> list[float]:
    """Return as many numbers as an input has elements."""
    elements = int(math.prod(dim.dim_value for dim in value.type.tensor_type.shape.dim))
    if len(numbers) not in (1, elements):
        raise BadInputError(
            f"input {value.name} takes {elements} numbers, and is declared to be fed {len(numbers)}"
        )
    return list(numbers) * (elements // len(numbers))
