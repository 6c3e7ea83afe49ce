"""Dynamic axes: analysed at one size, written for all.

The normal form has static shapes, and sizes that a file computes (Shape, Gather, Concat ...) are
constants in it. `OpenAxes` remembers how the file computed them, and puts that back into any graph
made from the normal form: sliced, repaired, rewritten.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, TypeProto, helper, version_converter

from decig.errors import BadInputError
from decig.graph.computed import NotComputedError, restore
from decig.graph.inference import infer_shapes, inputs_of, opset, shapes
from decig.graph.size_inputs import value_arrays

log = logging.getLogger(__name__)

_SMALL = 128
"""Largest size of an axis, in pixels, that is doubled for a comparison at another size."""
_SIZES_KEY = "decig.input_shapes"
"""Entry of a file's metadata: the shapes of its inputs at which decig analysed it, as JSON."""


@dataclass(frozen=True)
class FileTypes:
    """Types of a file's inputs and outputs as it states them, by name."""

    inputs: Mapping[str, TypeProto]
    outputs: Mapping[str, TypeProto]

    @classmethod
    def of(cls, graph: onnx.GraphProto) -> "FileTypes":
        """Copy the types of a graph's inputs and outputs."""
        return cls(
            *(
                {value.name: TypeProto.FromString(value.type.SerializeToString()) for value in some}
                for some in (graph.input, graph.output)
            )
        )


@dataclass(frozen=True)
class OpenAxes:
    """What is lost when a graph is made static.

    Attributes:
        types: of the inputs and outputs, as the file states them.
        sizes: shapes of the inputs in the static graph.
        computed: constants of the static graph that the file computes from sizes.
        nodes: nodes of the file that compute them, in its order.
        constants: initializers that those nodes read.
        twins: constants of the static graph that are copies of a shared one, with its name.
        shapes: of the values whose shapes those nodes read, in the static graph.
        opset: version of the default operator set that those nodes are written in.
        values: of the inputs that set sizes (`decig.graph.size_inputs`), by name.
    """

    types: FileTypes
    sizes: Mapping[str, list[int]]
    computed: frozenset[str]
    nodes: list[NodeProto]
    constants: Mapping[str, TensorProto]
    twins: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    opset: int
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    def other_sizes(self) -> dict[str, list[int]]:
        """Return other shapes of the inputs, at which graphs can be compared once more.

        The batch is doubled; other open axes are halved, or doubled where they are small. Axes to
        which the file gives the same name stay equal.
        """
        named: dict[str, int] = {}
        found = {}
        for name, shape in self.sizes.items():
            found[name] = list(shape)
            dims = self.types.inputs[name].tensor_type.shape.dim
            for axis, dim in enumerate(dims):
                if dim.dim_value <= 0:
                    size = shape[axis]
                    new = size // 2 if axis > 0 and size > _SMALL else size * 2
                    found[name][axis] = named.setdefault(dim.dim_param or f"{name} {axis}", new)
        return found

    def reopen(self, proto: onnx.ModelProto) -> onnx.ModelProto:
        """Give a graph that was made from the static one the file's dynamic axes.

        It stays static, with a warning, where a size cannot be computed any more, as the value
        that had it is gone.
        """
        wanted = {}
        for tensor in proto.graph.initializer:
            origin = self.twins.get(tensor.name, tensor.name)
            if origin in self.computed:
                wanted[tensor.name] = origin
        try:
            nodes, constants = self._written_for(opset(proto))
            opened = restore(proto, wanted, nodes, constants, self.shapes, self.values)
        except NotComputedError as error:
            log.warning("the written file has fixed sizes: %s", error)
            return proto
        for value in opened.graph.input:
            _loosen(value, self.types.inputs.get(value.name))
        for value in opened.graph.output:
            _loosen(value, self.types.outputs.get(value.name))
        props = {prop.key: prop.value for prop in opened.metadata_props}
        helper.set_model_props(opened, props | {_SIZES_KEY: json.dumps(dict(self.sizes))})
        return infer_shapes(opened, lenient=True)

    def _written_for(self, version: int) -> tuple[list[NodeProto], Mapping[str, TensorProto]]:
        """Return the nodes and their constants in another operator set."""
        if version == self.opset or not self.nodes:
            return self.nodes, self.constants
        made = {name for node in self.nodes for name in node.output}
        read = {name for node in self.nodes for name in inputs_of(node) if name} - made
        graph = helper.make_graph(
            self.nodes,
            "sizes",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes.get(name))
                for name in sorted(read - self.constants.keys())
            ],
            [helper.make_tensor_value_info(n, TensorProto.INT64, None) for n in sorted(made)],
            list(self.constants.values()),
        )
        opsets = [helper.make_opsetid("", self.opset)]
        try:
            written = version_converter.convert_version(
                helper.make_model(graph, opset_imports=opsets), version
            ).graph
        except Exception as error:  # the converter raises RuntimeError and classes of its own
            raise NotComputedError(f"sizes cannot be computed in opset {version}") from error
        return list(written.node), {tensor.name: tensor for tensor in written.initializer}


def has_dynamic_axes(kind: TypeProto) -> bool:
    """Whether a tensor type leaves a size open."""
    return any(dim.dim_value <= 0 for dim in kind.tensor_type.shape.dim)


def analysed_sizes(proto: onnx.ModelProto) -> dict[str, list[int]]:
    """Shapes of the inputs at which decig analysed a file that `OpenAxes.reopen` has made.

    Raises:
        BadInputError: the entry in the file's metadata is damaged.
    """
    entry = next((p.value for p in proto.metadata_props if p.key == _SIZES_KEY), "{}")
    try:
        sizes = {name: [int(n) for n in shape] for name, shape in json.loads(entry).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInputError(f"metadata {_SIZES_KEY} is damaged: {error}") from error
    return {name: shape for name, shape in sizes.items() if all(size > 0 for size in shape)}


def open_axes(
    types: FileTypes,
    file: onnx.GraphProto,
    static: onnx.ModelProto,
    twins: Mapping[str, str],
) -> OpenAxes | None:
    """Compare a file's graph with the static one made from it; None if no size in it is open.

    Args:
        types: of the file.
        file: its graph, static inputs, no constants folded.
        static: the same, constants folded and parted, shapes inferred.
        twins: as in `OpenAxes`.
    """
    values = value_arrays(static)
    if not values and not any(has_dynamic_axes(kind) for kind in types.inputs.values()):
        return None
    arithmetic = _Arithmetic(file, static.graph)
    folded = {tensor.name for tensor in static.graph.initializer}.union(twins.values())
    computed = {name: places for name in folded if (places := arithmetic.behind(name))}
    used = {place for places in computed.values() for place in places}
    nodes = [node for place, node in enumerate(file.node) if place in used]
    read = {name for node in nodes for name in inputs_of(node)}
    known = {name: shape for name, shape in shapes(static).items() if name in read}
    inputs = static.graph.input
    sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inputs}
    constants = {tensor.name: tensor for tensor in file.initializer if tensor.name in read}
    return OpenAxes(
        types,
        sizes,
        frozenset(computed),
        _copies(nodes),
        constants,
        dict(twins),
        known,
        opset(static),
        values,
    )


class _Arithmetic:
    """How a file computes what is constant in the static graph."""

    def __init__(self, file: onnx.GraphProto, static: onnx.GraphProto) -> None:
        self._nodes = file.node
        self._makers = {name: i for i, node in enumerate(file.node) for name in node.output}
        made = (name for node in static.node for name in node.output)
        self._values = {value.name for value in static.input}.union(made)

    def behind(self, name: str) -> set[int]:
        """Indices of the nodes that compute a value from sizes; none if they read no size."""
        places: set[int] = set()
        reads_size = False
        open_names = [name]
        while open_names:
            place = self._makers.get(open_names.pop())
            if place is None or place in places:
                continue
            places.add(place)
            for read in inputs_of(self._nodes[place]):
                if read in self._values:
                    reads_size = True
                else:
                    open_names.append(read)
        return places if reads_size else set()


def _loosen(value: onnx.ValueInfoProto, stated: TypeProto | None) -> None:
    """Open the axes of a value that its stated type leaves open, or states wrongly."""
    if stated is None or not value.type.HasField("tensor_type"):
        return
    dims = value.type.tensor_type.shape.dim
    known = list(stated.tensor_type.shape.dim)
    if len(known) != len(dims):
        known = [onnx.TensorShapeProto.Dimension() for _ in dims]
    for dim, other in zip(dims, known, strict=True):
        if other.dim_value != dim.dim_value:
            dim.Clear()
            if other.dim_param:
                dim.dim_param = other.dim_param


def _copies(nodes: Iterable[NodeProto]) -> list[NodeProto]:
    return [NodeProto.FromString(node.SerializeToString()) for node in nodes]
