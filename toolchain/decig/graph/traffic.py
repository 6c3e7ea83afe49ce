"""Bytes that nodes must move: what they read, weights included, and what they write.

Counted as if every value were read once and written once, at its real element size. That is the
least: a normalisation reads its input twice, and an operator whose working set does not fit into
the caches reads some of it more often. Views (Reshape, Squeeze and others) move nothing; a node
that reads a view reads the value behind it.
"""

import math
from collections.abc import Mapping

import onnx
from onnx import helper

from decig.graph.inference import inputs_of, shapes
from decig.graph.operators import Kind, find


def traffic(proto: onnx.ModelProto, hosts: Mapping[str, str] | None = None) -> dict[str, int]:
    """Count the bytes that each node of a graph in normal form moves.

    A value whose size is not known counts as nothing.

    Args:
        proto: the graph.
        hosts: for a node that runs as part of another one, the name of that one. What passes
            between a node and those that it has absorbed is not moved; the rest is charged to it.

    Returns:
        Bytes of every node; 0 for the absorbed ones and for views.
    """
    hosts = hosts or {}
    graph = _Values(proto)
    members: dict[str, list[onnx.NodeProto]] = {node.name: [] for node in proto.graph.node}
    for node in proto.graph.node:
        if not _is_view(node):
            members[host_of(node.name, hosts)].append(node)
    return {name: graph.moved(nodes) for name, nodes in members.items()}


def host_of(name: str, hosts: Mapping[str, str]) -> str:
    """Follow `hosts` from a node to the one that does its work in the end."""
    seen = {name}
    while name in hosts and hosts[name] not in seen:
        name = hosts[name]
        seen.add(name)
    return name


class _Values:
    """Sizes of a graph's values, and which nodes read them; a view is the value behind it."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._bytes = _sizes(proto)
        self._seen: dict[str, str] = {}
        for node in proto.graph.node:
            if _is_view(node):
                self._seen[node.output[0]] = self._root(node.input[0])
        self._returned = {self._root(value.name) for value in proto.graph.output}
        self._readers: dict[str, set[str]] = {}
        for node in proto.graph.node:
            if not _is_view(node):
                for value in inputs_of(node):
                    self._readers.setdefault(self._root(value), set()).add(node.name)

    def _root(self, value: str) -> str:
        return self._seen.get(value, value)

    def moved(self, nodes: list[onnx.NodeProto]) -> int:
        """Bytes that pass in and out of nodes that run as one."""
        names = {node.name for node in nodes}
        made = {value for node in nodes for value in node.output if value}
        read: dict[str, int] = {}
        for node in nodes:
            for value, size in self._reads(node).items():
                if value not in made:
                    read[value] = max(size, read.get(value, 0))
        kept = {v for v in made if v in self._returned or self._readers.get(v, names) - names}
        return sum(read.values()) + sum(self._bytes.get(value, 0) for value in kept)

    def _reads(self, node: onnx.NodeProto) -> dict[str, int]:
        """Bytes that a node reads of each value."""
        kind = find(node).kind
        if kind is Kind.SIZE:
            return {}
        reads = {self._root(value): self._bytes.get(value, 0) for value in inputs_of(node)}
        if kind is Kind.PICK:
            data, out = self._root(node.input[0]), sum(self._bytes.get(v, 0) for v in node.output)
            reads[data] = min(reads[data], out)
        return reads


def _is_view(node: onnx.NodeProto) -> bool:
    return find(node).kind is Kind.VIEW


def _sizes(proto: onnx.ModelProto) -> dict[str, int]:
    """Bytes of every value whose shape is known."""
    graph = proto.graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.HasField("tensor_type"):
            kinds[value.name] = value.type.tensor_type.elem_type
    widths = {kind: helper.tensor_dtype_to_np_dtype(kind).itemsize for kind in set(kinds.values())}
    return {
        name: math.prod(shape) * widths[kinds[name]]
        for name, shape in shapes(proto).items()
        if name in kinds
    }
