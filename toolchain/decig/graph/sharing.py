"""Weights that several nodes use: siamese encoders, blocks that are run again and again.

In normal form, such a weight is one initializer with several readers: it is counted once, cut the
same for every reader, and trained as one. Everything else that files share, because exporters merge
what is equal by chance (shapes, axes, the ones of norms), is parted: each reader has its own copy,
which may be cut in its own way.

What tells the two apart is that a layer multiplies by it, and that no two of its rows are alike, as
they are in fixed filters (the blur of an upsampling, a Sobel operator). The other parameters of
shared layers (biases, norms) are shared where every reader cuts them in the same way.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection

import onnx
from onnx import TensorProto, numpy_helper

from decig.graph.channels import analyse
from decig.graph.inference import inputs_of
from decig.graph.operators import Kind, find

_FLOATS = frozenset(
    (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
)
_LEAST_DISTINCT = 0.5
"""Share of the rows of a weight that must differ from all others; fixed filters repeat theirs."""
_MATRIX = 2
"""Fewest axes of a weight by which layers multiply."""


def merge_equal(graph: onnx.GraphProto, names: Collection[str] | None = None) -> None:
    """Let nodes that read equal trained weights read the same initializer.

    Args:
        graph: it is changed: of several equal initializers the first stays.
        names: those that may be merged; all by default. Weights of which rows repeat never are.
    """
    fixed = {value.name for value in (*graph.input, *graph.output)} | _inside(graph)
    first: dict[tuple[object, ...], str] = {}
    instead: dict[str, str] = {}
    for tensor in graph.initializer:
        if (names is None or tensor.name in names) and _is_trained(tensor):
            content = hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest()
            key = (tensor.data_type, tuple(tensor.dims), content)
            kept = first.setdefault(key, tensor.name)
            if kept != tensor.name and tensor.name not in fixed:
                instead[tensor.name] = kept
    if not instead:
        return
    for node in graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]
    kept_tensors = [
        TensorProto.FromString(tensor.SerializeToString())
        for tensor in graph.initializer
        if tensor.name not in instead
    ]
    del graph.initializer[:]
    graph.initializer.extend(kept_tensors)


def part(graph: onnx.GraphProto) -> dict[str, str]:
    """Give each use its own copy of a shared initializer, but of the weights of layers.

    Args:
        graph: it is changed; equal weights of layers are merged, too.

    Returns:
        The names of the copies, each with that of the initializer that was shared.
    """
    merge_equal(graph, _weights_of_layers(graph))
    by_name = {tensor.name: tensor for tensor in graph.initializer}
    stays = {name for name in _weights_of_layers(graph) if _is_trained(by_name[name])}
    twins = {}
    # Graph outputs and subgraphs name the initializer itself, so they keep it.
    uses = Counter(value.name for value in graph.output)
    uses.update(_inside(graph))
    for node in graph.node:
        for slot, name in enumerate(node.input):
            if name not in by_name or name in stays:
                continue
            uses[name] += 1
            if uses[name] > 1:
                twin = graph.initializer.add()
                twin.CopyFrom(by_name[name])
                twin.name = f"{name}__{node.name}_{slot}"
                node.input[slot] = twin.name
                twins[twin.name] = name
    return twins


def join(proto: onnx.ModelProto) -> None:
    """Let the readers of shared layers share the other parameters, too, where that costs nothing.

    Copies of one vector become one again where the same channels go from all of them, whatever a
    plan says.

    Args:
        proto: a graph that `part` has changed, shapes inferred; it is changed.
    """
    graph = proto.graph
    uses = Counter(name for node in graph.node for name in node.input)
    if not any(uses[name] > 1 for name in _weights_of_layers(graph)):
        return
    alike: dict[bytes, list[str]] = defaultdict(list)
    for tensor in graph.initializer:
        if uses[tensor.name] == 1 and _is_trained(tensor):
            alike[numpy_helper.to_array(tensor).tobytes()].append(tensor.name)
    candidates = [names for names in alike.values() if len(names) > 1]
    if not candidates:
        return
    channels = analyse(proto)
    cuts: dict[str, list[tuple[tuple[int, ...], bytes]]] = defaultdict(list)
    for binding in channels.bindings:
        labels = channels.classes_of(binding.ids)
        cuts[binding.initializer].append((labels.shape, labels.tobytes()))
    for names in candidates:
        # What is bound to no channels may be mended for each node in its own way.
        same: dict[object, list[str]] = defaultdict(list)
        for name in filter(cuts.__contains__, names):
            same[tuple(sorted(cuts[name]))].append(name)
        for several in same.values():
            merge_equal(graph, set(several))


def shared(graph: onnx.GraphProto) -> frozenset[str]:
    """Names of the initializers that several inputs of nodes read."""
    uses = Counter(name for node in graph.node for name in inputs_of(node))
    return frozenset(t.name for t in graph.initializer if uses[t.name] > 1)


def _weights_of_layers(graph: onnx.GraphProto) -> set[str]:
    """Initializers with two axes or more by which layers multiply, as they are or modulated."""
    large = {t.name for t in graph.initializer if len(t.dims) >= _MATRIX}
    makers = {name: node for node in graph.node for name in node.output}
    layers = [node for node in graph.node if _is_layer(node)]
    waiting = [node.input[0] for node in layers if node.input[0] in large]
    waiting += [name for node in layers for name in node.input[1:]]
    seen = set(waiting)
    while waiting:
        maker = makers.get(waiting.pop())
        if maker is not None and not _is_layer(maker):
            fresh = set(maker.input) - seen
            seen |= fresh
            waiting += fresh
    return seen & large


def _is_layer(node: onnx.NodeProto) -> bool:
    return find(node).kind in (Kind.CONVOLUTION, Kind.PRODUCT)


def _is_trained(tensor: TensorProto) -> bool:
    """Whether an initializer looks like one that training made: rows differ from each other."""
    if tensor.data_type not in _FLOATS or not tensor.dims:
        return False
    array = numpy_helper.to_array(tensor)
    rows = array.reshape(len(array), -1) if len(array) > 1 else array.reshape(-1, 1)
    distinct = len({row.tobytes() for row in rows})
    return distinct > 1 and distinct > _LEAST_DISTINCT * len(rows)


def _inside(graph: onnx.GraphProto) -> set[str]:
    """Names that graphs inside nodes read."""
    return {name for node in graph.node for name in set(inputs_of(node)) - set(node.input)}
