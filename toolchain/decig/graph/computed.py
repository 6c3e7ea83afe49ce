"""Sizes that a file computes, put back where the static graph has constants.

In a static graph the target of a Reshape is a constant, and a slice mends it when channels go. In
the graph that is written, it is computed again, from the shapes of values with fewer channels.
Where that alone does not give what the slice made of the constant (the file multiplies H by a
written 64), the computed value is fitted: 64 * H becomes 64 * H * 32 / 64.
"""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from decig.graph.inference import inputs_of, opset, shapes
from decig.graph.order import in_order


class NotComputedError(Exception):
    """A size cannot be computed in this graph; the message says why."""


def restore(
    proto: onnx.ModelProto,
    wanted: Mapping[str, str],
    nodes: list[NodeProto],
    constants: Mapping[str, TensorProto],
    whole: Mapping[str, tuple[int, ...]] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """Return a copy of a static graph in which constants are computed.

    Sizes are computed from the shapes that values have now. What was computed from a channel count
    and is not cut with it (the factor 1 / sqrt(C) of an attention) is computed as if no channel had
    been removed; so is everything where the shapes of now lead nowhere (a constant is expanded to a
    shape that lost channels). What depends on channels alone stays a constant then.

    Args:
        proto: the graph, shapes inferred.
        wanted: constants to replace, each with the name under which `nodes` compute it.
        nodes: what computes them, from shapes of values of `proto`.
        constants: initializers that `nodes` read.
        whole: shapes of the values before any cut, by name.
        inputs: values of the graph's inputs that are not read for their shapes alone, by name.

    Raises:
        NotComputedError: a value whose shape is read is gone, or a constant cannot be fitted.
    """
    opened = onnx.ModelProto()
    opened.CopyFrom(proto)
    if not wanted:
        return opened
    known, full = shapes(proto), dict(whole or {})
    pinned = {name: full[name] for name in full if known.get(name) not in (None, full[name])}
    sizes = _Sizes(proto, nodes, constants, sorted(set(wanted.values())), inputs or {})
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    try:
        now = sizes.at(known)
    except NotComputedError:
        if not pinned:
            raise
        now = {}
    fits = {name for name, origin in wanted.items() if now and _fits(now[origin], tensors[name])}
    rest = wanted.keys() - fits
    before = sizes.at(known | pinned) if rest and pinned else now
    if now:
        rest -= sizes.of_channels_alone(rest, wanted, tensors, known, pinned)
    for names, values, pins in ((fits, now, {}), (rest, before, pinned)):
        part = {name: origin for name, origin in wanted.items() if name in names}
        if not part:
            continue
        writer = _Writer(opened, part)
        writer.copy(list(_needed(nodes, set(part.values()))), constants)
        for name, shape in pins.items():
            writer.pin(name, shape, known[name])
        for name, origin in part.items():
            writer.fit(name, origin, values[origin], tensors[name])
        writer.write(opened.graph)
    return opened


class _Sizes:
    """What a file computes from shapes of values of a graph, at any shapes."""

    def __init__(
        self,
        proto: onnx.ModelProto,
        nodes: list[NodeProto],
        constants: Mapping[str, TensorProto],
        names: list[str],
        inputs: Mapping[str, np.ndarray],
    ) -> None:
        self._proto, self._constants, self._names = proto, constants, names
        self._nodes, self._inputs = list(_needed(nodes, set(names))), inputs

    def at(self, known: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Values by name; NotComputedError where one cannot be computed."""
        given = self._nodes, self._constants, self._names
        return _evaluate(self._proto, *given, known, self._inputs)

    def of_channels_alone(
        self,
        names: Collection[str],
        wanted: Mapping[str, str],
        tensors: Mapping[str, np.ndarray],
        known: Mapping[str, tuple[int, ...]],
        pinned: Mapping[str, tuple[int, ...]],
    ) -> set[str]:
        """Those of some constants that other sizes leave as they are, if no channel goes."""
        if not names or not pinned:
            return set()
        larger = {
            name: tuple(
                size if name in pinned and size != known[name][axis] else 2 * size
                for axis, size in enumerate(pinned.get(name, shape))
            )
            for name, shape in known.items()
        }
        try:
            found = self.at(larger)
        except NotComputedError:
            return set()
        return {name for name in names if _same(found[wanted[name]], tensors[name])}


class _Writer:
    """The nodes and constants that are added, under names that the graph does not have."""

    def __init__(self, proto: onnx.ModelProto, wanted: Mapping[str, str]) -> None:
        graph = proto.graph
        self._wanted = wanted
        self._taken = {name for node in graph.node for name in (node.name, *node.output)}
        self._taken.update(value.name for value in (*graph.input, *graph.initializer))
        self._values = {value.name for value in graph.input}
        self._values.update(name for node in graph.node for name in node.output)
        self._names: dict[str, str] = {}
        self._nodes: list[NodeProto] = []
        self._tensors: list[TensorProto] = []
        self._read_as: dict[str, str] = {}

    def copy(self, nodes: list[NodeProto], constants: Mapping[str, TensorProto]) -> None:
        """Add what computes the sizes."""
        for name, tensor in constants.items():
            self._constant(self._rename(name), numpy_helper.to_array(tensor))
        for node in nodes:
            for name in node.output:
                self._rename(name)
        for node in nodes:
            copy = NodeProto.FromString(node.SerializeToString())
            copy.name = self._free(node.name or node.op_type)
            _rename_in(copy, self._names)
            self._nodes.append(copy)

    def pin(self, value: str, shape: tuple[int, ...], cut: tuple[int, ...]) -> None:
        """Let every Shape of a value that lost channels give the sizes that it gave before."""
        for node in [node for node in self._nodes if value in node.input]:
            if node.op_type != "Shape":
                raise NotComputedError(f"{node.op_type} {node.name} counts channels that are gone")
            part = {a.name: a.i for a in node.attribute}
            sizes = np.array(shape, np.int64)[part.get("start", 0) : part.get("end")]
            stays = sizes == np.array(cut, np.int64)[part.get("start", 0) : part.get("end")]
            result = node.output[0]
            node.output[0] = self._free(result)
            open_only = self._apply("Mul", node.output[0], stays.astype(np.int64), node.name)
            self._apply("Add", open_only, np.where(stays, 0, sizes), node.name)
            self._nodes[-1].output[0] = result

    def fit(self, name: str, origin: str, found: np.ndarray, wanted: np.ndarray) -> None:
        """Let readers of the constant `name` read the computed value, fitted to the constant."""
        source = self._names[origin]
        if _same(found, wanted):
            self._read_as[name] = source
        elif _is_multiple(found, wanted):
            divisor = np.maximum(np.gcd(found, wanted), 1)
            scaled = self._apply("Mul", source, wanted // divisor, name)
            self._read_as[name] = self._apply(
                "Div", scaled, np.where(found == 0, 1, found // divisor), name
            )
        else:
            axis, places = _kept_places(name, found, wanted)
            self._read_as[name] = self._apply("Gather", source, places, name)
            self._nodes[-1].attribute.append(helper.make_attribute("axis", axis))

    def write(self, graph: onnx.GraphProto) -> None:
        """Change the graph: constants out, nodes in, each in front of its first reader."""
        kept = [tensor for tensor in graph.initializer if tensor.name not in self._wanted]
        tensors = [TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in graph.node]
        for node in nodes:
            _rename_in(node, self._read_as)
        ordered = list(in_order(nodes, self._nodes))
        read = {name for node in ordered for name in inputs_of(node)}
        del graph.node[:], graph.initializer[:]
        graph.node.extend(ordered)
        graph.initializer.extend(tensors)
        graph.initializer.extend(tensor for tensor in self._tensors if tensor.name in read)

    def _apply(self, op_type: str, source: str, other: np.ndarray, stem: str) -> str:
        constant = self._free(f"{stem}/{op_type.lower()}_by")
        self._constant(constant, other)
        name = self._free(f"{stem}/{op_type.lower()}")
        self._nodes.append(helper.make_node(op_type, [source, constant], [name], name=name))
        return name

    def _constant(self, name: str, array: np.ndarray) -> None:
        self._tensors.append(numpy_helper.from_array(array, name))

    def _rename(self, name: str) -> str:
        self._names[name] = self._free(name)
        return self._names[name]

    def _free(self, name: str) -> str:
        """Return the name, or one like it that nothing has."""
        free = name
        while free in self._taken:
            free += "/open"
        self._taken.add(free)
        return free


def _needed(nodes: list[NodeProto], names: set[str]) -> Iterator[NodeProto]:
    """Nodes that compute values of these names, in order."""
    needed = set(names)
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(inputs_of(node))
            kept.append(node)
    return reversed(kept)


def _evaluate(
    proto: onnx.ModelProto,
    nodes: list[NodeProto],
    constants: Mapping[str, TensorProto],
    names: list[str],
    known: Mapping[str, tuple[int, ...]],
    inputs: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Compute values, given the shapes of those that the graph has."""
    made = {name for node in nodes for name in node.output}
    read = [name for node in nodes for name in inputs_of(node) if name]
    open_names = dict.fromkeys(n for n in read if n not in made and n not in constants)
    present = {value.name for value in proto.graph.input}
    present.update(name for node in proto.graph.node for name in node.output)
    feeds = {}
    for name in open_names:
        if name not in present or name not in known:
            raise NotComputedError(f"a size depends on {name}, which is not in it any more")
        # Of other values only the shape is read; this takes no memory.
        feeds[name] = inputs.get(name, np.broadcast_to(np.float32(0), known[name]))
    graph = helper.make_graph(
        nodes,
        "sizes",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in feeds],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in names],
        [tensor for name, tensor in constants.items() if name in read],
    )
    opsets = [helper.make_opsetid("", opset(proto))]
    try:
        evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))
        results = evaluator.run(names, feeds)
    except Exception as error:  # it raises whatever an operator's code raises
        raise NotComputedError(f"{names[0]} cannot be computed: {error}") from error
    return dict(zip(names, (np.asarray(result) for result in results), strict=True))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether arrays are equal; fractions to the rounding that two programs differ by."""
    if one.shape != other.shape or one.dtype.kind != "f":
        return np.array_equal(one, other)
    return np.allclose(one, other, rtol=1e-5, atol=1e-7, equal_nan=True)


def _is_multiple(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether every whole number becomes the wanted one by a factor; a 0 must stay 0."""
    whole = found.shape == wanted.shape and found.dtype.kind == "i"
    return whole and bool(((found != 0) | (wanted == 0)).all())


def _fits(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether `_Writer.fit` can make one of the other."""
    if _same(found, wanted) or _is_multiple(found, wanted):
        return True
    try:
        _kept_places("", found, wanted)
    except NotComputedError:
        return False
    return True


def _kept_places(name: str, found: np.ndarray, wanted: np.ndarray) -> tuple[int, np.ndarray]:
    """Axis and indices at which `wanted` stands in `found`, for a constant that lost channels."""
    if found.ndim == wanted.ndim:
        axes = [a for a in range(found.ndim) if found.shape[a] != wanted.shape[a]]
        if len(axes) == 1:
            axis = axes[0]
            rows, targets = np.moveaxis(found, axis, 0), np.moveaxis(wanted, axis, 0)
            places: list[int] = []
            for place, row in enumerate(rows):
                if len(places) < len(targets) and _same(row, targets[len(places)]):
                    places.append(place)
            if len(places) == len(targets):
                return axis, np.array(places, np.int64)
    raise NotComputedError(f"{name} is computed from sizes and was changed")


def _rename_in(node: NodeProto, names: Mapping[str, str]) -> None:
    for names_of in (node.input, node.output):
        for slot, name in enumerate(names_of):
            names_of[slot] = names.get(name, name)
