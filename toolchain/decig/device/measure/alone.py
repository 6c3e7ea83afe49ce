"""Layers timed one by one, for providers that run a whole graph as one opaque node.

A layer is a node together with the element-wise nodes and moves of data that follow it alone:
providers fuse those, so their time belongs to the layer. The nodes that a rewrite puts instead of
one node stay together too: timed one by one, they took twice as long. Each layer becomes a model of
its own; what an empty model takes (to call the provider, to hand over inputs) is subtracted. Layers
with the same operators, attributes and shapes have the same signature and are timed once, whatever
model they are from (`decig.device.measure.layer_cache`).

Alone, a layer finds its inputs in another layout and in other caches than inside the graph, so the
times are right only in proportion, and only roughly. The times of whole graphs correct them
(`decig.device.cost.whole_graphs`).
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from decig.device.measure.layer_cache import LayerCache
from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.errors import DecigError
from decig.graph.model import opset
from decig.graph.operators import find

log = logging.getLogger(__name__)

_TOLD_APART = 16
"""An integer constant of up to so many numbers is part of a signature with its values."""
_WARM_UP, _FEWEST, _MOST = 2, 4, 12
"""Runs of a layer: before timing, and the fewest and the most that are timed."""
_MOST_US = 60_000.0
"""Microseconds of timed runs, beyond the fewest, after which a layer is timed no further."""


@dataclass(frozen=True)
class Layer:
    """Nodes that belong together, in the order of the graph.

    Attributes:
        nodes: the nodes; all of their time is charged to the first one.
        results: values that nodes outside of the layer read, or that are outputs of the graph.
    """

    nodes: tuple[NodeProto, ...]
    results: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the node that all time is charged to."""
        return self.nodes[0].name


@dataclass(frozen=True)
class LayerTimes:
    """What layers take alone.

    Attributes:
        nodes: microseconds of every node by name; 0 for all but the first of each layer.
        absorbed: every other node of a layer to the layer's first node.
        kernels: the first node of each layer to the operators of the layer, such as "Conv+Relu".
    """

    nodes: dict[str, float]
    absorbed: dict[str, str]
    kernels: dict[str, str]


def time_layers(proto: onnx.ModelProto, owner: Mapping[str, str], device: Device) -> LayerTimes:
    """Time every layer of a graph in normal form on its own.

    Args:
        proto: the graph.
        owner: node of the graph to the original node that it was made from, where that is another
            one; all nodes made from one original node stay together.
        device: the device.

    Raises:
        BadInputError, DecigError: as `Device.open`, for the model that computes nothing.
    """
    values = _Values(proto)
    cache = LayerCache(device)
    empty = _time_once_per_signature(_empty_model(proto), device, cache)
    layers = split(proto, owner)
    times, untimed = dict.fromkeys((node.name for node in proto.graph.node), 0.0), list[str]()
    for layer in layers:
        model = layer_model(layer, values)
        if model is None:
            continue
        try:
            times[layer.name] = max(0.0, _time_once_per_signature(model, device, cache) - empty)
        except DecigError as error:  # providers refuse some operators outside a larger graph
            log.debug("%s cannot be timed on its own: %s", layer.name, error)
            untimed.append(layer.name)
    if untimed:
        log.warning(
            "this provider does not run %d layers on their own (%s): their share of the time is "
            "not known, and plans take them for free",
            len(untimed),
            ", ".join(untimed[:3]) + (" and others" if len(untimed) > 3 else ""),
        )
    cache.save()
    absorbed = {node.name: each.name for each in layers for node in each.nodes[1:]}
    kernels = {each.name: "+".join(node.op_type for node in each.nodes) for each in layers}
    return LayerTimes(times, absorbed, kernels)


def split(proto: onnx.ModelProto, owner: Mapping[str, str]) -> list[Layer]:
    """Group the nodes of a graph into layers."""
    readers: dict[str, list[NodeProto]] = {}
    owned: dict[str, list[NodeProto]] = {}
    for node in proto.graph.node:
        owned.setdefault(owner.get(node.name, node.name), []).append(node)
        for name in node.input:
            readers.setdefault(name, []).append(node)
    returned = {value.name for value in proto.graph.output}

    def results(nodes: list[NodeProto]) -> list[str]:
        inside = {node.name for node in nodes}
        made = (name for node in nodes for name in node.output if name)
        return [
            name
            for name in made
            if name in returned or any(r.name not in inside for r in readers.get(name, []))
        ]

    def followers(last: str) -> list[NodeProto]:
        """Nodes that follow a value alone: those of its only reader, else none."""
        following = readers.get(last, [])
        if last in returned or len(following) != 1 or following[0].input[0] != last:
            return []
        nodes = owned[owner.get(following[0].name, following[0].name)]
        alone = nodes[0] is following[0] and all(find(node).follows for node in nodes)
        return nodes if alone else []

    taken: set[str] = set()
    layers = []
    for nodes in owned.values():
        if nodes[0].name in taken:
            continue
        layer, ends = list(nodes), results(nodes)
        while len(ends) == 1 and (more := followers(ends[0])):
            layer += more
            ends = results(layer)
        taken.update(node.name for node in layer)
        layers.append(Layer(tuple(layer), tuple(ends)))
    return layers


class _Values:
    """Constants and types of a graph's values."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.opsets = list(proto.opset_import)
        self.constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        known = (*proto.graph.value_info, *proto.graph.input, *proto.graph.output)
        self.types = {value.name: value.type for value in known}


def layer_model(layer: Layer, values: _Values) -> onnx.ModelProto | None:
    """Make a layer a model of its own; its values are numbered, so equal layers are equal models.

    None for a layer that takes no time or cannot be timed alone: one without inputs or results, or
    with a value of unknown shape.
    """
    rename: dict[str, str] = {"": ""}
    inputs: dict[str, str] = {}
    constants: list[TensorProto] = []
    made = {name for node in layer.nodes for name in node.output}
    nodes = []
    for index, original in enumerate(layer.nodes):
        node = NodeProto.FromString(original.SerializeToString())
        if any(entry.HasField("g") for entry in node.attribute):
            return None
        for name in (*node.input, *node.output):
            if name in rename:
                continue
            rename[name] = f"v{len(rename)}"
            if name in values.constants:
                tensor = TensorProto.FromString(values.constants[name].SerializeToString())
                tensor.name = rename[name]
                constants.append(tensor)
            elif name not in made:
                inputs[name] = rename[name]
        node.input[:] = [rename[name] for name in node.input]
        node.output[:] = [rename[name] for name in node.output]
        node.name = f"n{index}"
        nodes.append(node)
    results = layer.results
    known = all(name in values.types for name in (*inputs, *results))
    if not (inputs and results and known):
        return None
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_value_info(new, values.types[old]) for old, new in inputs.items()],
        [helper.make_value_info(rename[name], values.types[name]) for name in results],
        constants,
    )
    return helper.make_model(graph, opset_imports=values.opsets, ir_version=10)


def _empty_model(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A model that computes nearly nothing."""
    node = helper.make_node("Relu", ["v1"], ["v2"], name="n0")
    start, end = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1, 1])
        for name in ("v1", "v2")
    )
    graph = helper.make_graph([node], "layer", [start], [end])
    opsets = [helper.make_opsetid("", opset(proto))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _time_once_per_signature(model: onnx.ModelProto, device: Device, cache: LayerCache) -> float:
    """Microseconds of a layer's model; a model whose time is known is not timed again."""
    key = signature(model)
    known = cache.get(key)
    return cache.put(key, *time_alone(model, device)) if known is None else known


def time_alone(model: onnx.ModelProto, device: Device) -> tuple[float, float]:
    """Time a few runs of a model.

    Returns:
        The lower quartile in microseconds, because whatever else the machine does only adds time,
        and how far the median is above it.
    """
    session = device.open(model)
    run = device.prepare(session, random_feeds(session))
    for _ in range(_WARM_UP):
        run()
    samples: list[float] = []
    while len(samples) < _FEWEST or (len(samples) < _MOST and sum(samples) < _MOST_US):
        us, share = device.observe(run)
        samples.append(us * share)
    quartile, median = np.quantile(samples, [0.25, 0.5])
    return float(quartile), float(median - quartile)


def signature(model: onnx.ModelProto) -> str:
    """Digest of whatever decides a layer's time: all of it but the values of its weights."""
    bare = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in bare.graph.initializer:
        dims, kind = list(tensor.dims), tensor.data_type
        if kind == TensorProto.FLOAT or np.prod(dims, dtype=int) > _TOLD_APART:
            name = tensor.name
            tensor.Clear()
            tensor.name, tensor.data_type = name, kind
            tensor.dims.extend(dims)
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()
