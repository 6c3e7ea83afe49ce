"""Random numbers that a graph draws itself, replaced by given ones so that graphs can be compared.

A generator that adds noise to its features paints another picture in every run. Two graphs are
compared on the same draws: `draws` makes them for one graph, by node, and `pin` puts them into
either. What is made of them stays in the graph, so that draws which depend on data (Bernoulli,
Multinomial, Dropout) remain right.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from decig.graph.channels import ChannelMap
from decig.graph.flow import attributes
from decig.graph.inference import infer_shapes, kinds, opset, shapes
from decig.graph.operators import Kind, find

Draws = Mapping[str, np.ndarray]
"""Standard draws by the name of the node: normal, uniform between 0 and 1, or Gumbel."""

_AXES_ARE_INPUTS = 13
"""First operator set in which Unsqueeze takes its axes as an input."""


def drawing(proto: onnx.ModelProto) -> list[NodeProto]:
    """Nodes of a graph that draw random numbers, in its order."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    return [
        node
        for node in proto.graph.node
        if find(node).kind is Kind.RANDOM or _is_training(node, constants)
    ]


def draws(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Draw for every node that does, the same numbers every time.

    Args:
        proto: a graph, shapes inferred; nodes whose shape is not known are left out.
    """
    known, found = shapes(proto), {}
    for node in drawing(proto):
        rng = np.random.default_rng(zlib.crc32(node.name.encode()))
        shape = known.get(node.output[0])
        if shape is None:
            continue
        if node.op_type == "Multinomial":
            if node.input[0] in known:
                batch, classes = known[node.input[0]]
                found[node.name] = rng.gumbel(size=(batch, shape[1], classes))
        elif "Normal" in node.op_type:
            found[node.name] = rng.normal(size=shape)
        else:
            found[node.name] = rng.uniform(size=shape)
    return found


def pin(proto: onnx.ModelProto, given: Draws) -> onnx.ModelProto:
    """Return a graph in which nodes use given draws instead of drawing.

    The graph itself where none of its nodes draws.
    """
    nodes = {node.name for node in drawing(proto) if node.name in given}
    if not nodes:
        return proto
    pinned = onnx.ModelProto()
    pinned.CopyFrom(proto)
    types, version = kinds(proto), opset(proto)
    written: list[NodeProto] = []
    for node in proto.graph.node:
        if node.name not in nodes:
            written.append(node)
            continue
        steps = _Steps(node, types, version, pinned.graph)
        steps.write(given[node.name])
        written += steps.nodes
    del pinned.graph.node[:]
    pinned.graph.node.extend(written)
    return infer_shapes(pinned, lenient=True)


def kept_draws(
    proto: onnx.ModelProto, channels: ChannelMap, keep: Mapping[str, Sequence[int]], given: Draws
) -> Draws:
    """Those of a graph's random numbers that a graph sliced from it draws.

    Args:
        proto: the graph.
        channels: its channel groups.
        keep: the kept channels of each group.
        given: what the graph draws.
    """
    made = {node.name: node.output[0] for node in drawing(proto) if node.name in given}
    return {name: channels.part_of(value, given[name], keep) for name, value in made.items()}


class _Steps:
    """The nodes and constants that replace one drawing node."""

    def __init__(
        self, node: NodeProto, types: Mapping[str, int], version: int, graph: onnx.GraphProto
    ) -> None:
        self.nodes: list[NodeProto] = []
        self._node, self._types, self._version, self._graph = node, types, version, graph
        self._given = attributes(node)

    def write(self, draw: np.ndarray) -> None:
        """Add what makes the node's outputs of a draw."""
        node, given = self._node, self._given
        kind = self._types.get(node.output[0], TensorProto.FLOAT)
        if "Normal" in node.op_type:
            values = given.get("mean", 0.0) + given.get("scale", 1.0) * draw
            self._op("Identity", self._constant("draw", values, kind), output=node.output[0])
        elif "Uniform" in node.op_type:
            low, high = given.get("low", 0.0), given.get("high", 1.0)
            values = low + (high - low) * draw
            self._op("Identity", self._constant("draw", values, kind), output=node.output[0])
        elif node.op_type == "Bernoulli":
            chance = self._constant("draw", draw, self._types[node.input[0]])
            # As ONNX spells the operator out, and ONNX Runtime runs it; its text says the reverse.
            heads = self._op("Greater", chance, node.input[0])
            self._op("Cast", heads, output=node.output[0], to=kind)
        elif node.op_type == "Multinomial":
            self._multinomial(draw, kind)
        else:
            self._dropout(draw, kind)

    def _multinomial(self, draw: np.ndarray, kind: int) -> None:
        """Take the largest of the logarithms plus Gumbel draws, which is a draw of the classes."""
        logits = self._node.input[0]
        if self._version < _AXES_ARE_INPUTS:
            rows = self._op("Unsqueeze", logits, axes=[1])
        else:
            axes = self._constant("axes", np.array([1]), TensorProto.INT64)
            rows = self._op("Unsqueeze", logits, axes)
        noise = self._constant("draw", draw, self._types[logits])
        best = self._op("ArgMax", self._op("Add", rows, noise), axis=2, keepdims=0)
        self._op("Cast", best, output=self._node.output[0], to=kind)

    def _dropout(self, draw: np.ndarray, kind: int) -> None:
        ratio = 0.5
        if len(self._node.input) > 1 and self._node.input[1]:
            tensors = {tensor.name: tensor for tensor in self._graph.initializer}
            ratio = float(numpy_helper.to_array(tensors[self._node.input[1]]))
        stays = draw >= ratio
        scale = self._constant("kept", stays / max(1 - ratio, 1e-9), kind)
        self._op("Mul", self._node.input[0], scale, output=self._node.output[0])
        if len(self._node.output) > 1 and self._node.output[1]:
            mask = self._constant("mask", stays, TensorProto.BOOL)
            self._op("Identity", mask, output=self._node.output[1])

    def _constant(self, what: str, array: np.ndarray, kind: int) -> str:
        name = f"{self._node.name}/{what}"
        typed = np.asarray(array).astype(helper.tensor_dtype_to_np_dtype(kind))
        self._graph.initializer.append(numpy_helper.from_array(typed, name))
        return name

    def _op(self, op_type: str, *inputs: str, output: str = "", **settings: Any) -> str:
        # The last node keeps the name, by which others know what reads a value.
        name = self._node.name if output == self._node.output[0] else ""
        name = name or f"{self._node.name}/{op_type.lower()}{len(self.nodes)}"
        output = output or name
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, **settings))
        return output


def _is_training(node: NodeProto, constants: Mapping[str, TensorProto]) -> bool:
    """Whether a node is a Dropout whose third input says that it drops, and its second how much."""
    if node.op_type != "Dropout" or len(node.input) < 3 or node.input[2] not in constants:
        return False
    if node.input[1] and node.input[1] not in constants:
        return False
    return bool(numpy_helper.to_array(constants[node.input[2]]).any())
