"""The graph that rewrite rules read and change."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from decig.graph.inference import infer_shapes, kinds, opset, shapes


class Editor:
    """A private copy of a graph in normal form, which knows what makes and reads each value.

    A rule may write a node's inputs and outputs itself if it calls a method that changes the
    graph after that: then makers and readers are looked up anew.

    Attributes:
        nodes: the nodes in topological order; change them through the methods.
        opset: version of the default operator set.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._proto = onnx.ModelProto()
        self._proto.CopyFrom(proto)
        self._shapes = shapes(proto)
        self._constants = {tensor.name: tensor for tensor in self._proto.graph.initializer}
        self._taken = {value.name for value in proto.graph.input}
        self._taken.update(n for node in proto.graph.node for n in (node.name, *node.output))
        self._kinds = kinds(proto)
        self._outputs = {value.name for value in proto.graph.output} | _captured(proto.graph)
        self.nodes = list(self._proto.graph.node)
        self._links: _Links | None = None
        self.opset = opset(proto)

    def shape(self, value: str) -> tuple[int, ...] | None:
        """Static shape of a value that the source graph had; None where it is not known."""
        return self._shapes.get(value)

    def is_float(self, value: str) -> bool:
        """Whether a value that the source graph had is of float32 or float16.

        In other types, one operator for what several spell is missing in ONNX, or its kernel is
        missing in ONNX Runtime.
        """
        return self._kinds.get(value) in (TensorProto.FLOAT, TensorProto.FLOAT16)

    def constant(self, value: str) -> np.ndarray | None:
        """Array of an initializer; None for a computed value or an absent input ("")."""
        tensor = self._constants.get(value)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def maker(self, value: str) -> NodeProto | None:
        """Node that makes `value`; None for a graph input or an initializer."""
        return self._linked().makers.get(value)

    def producer(self, value: str, op_type: str) -> NodeProto | None:
        """Node that makes `value`, if it is an `op_type`."""
        found = self.maker(value)
        return found if found is not None and found.op_type == op_type else None

    def sole_reader(self, value: str) -> NodeProto | None:
        """The one node that reads `value`; None if several do, or the graph returns it."""
        readers = self._linked().readers.get(value, [])
        return readers[0] if len(readers) == 1 and value not in self._outputs else None

    def set_constant(self, node: NodeProto, slot: int, array: np.ndarray, suffix: str) -> None:
        """Make input `slot` of `node` this array.

        An initializer that only `node` reads keeps its name; otherwise a new one is called
        "<node>/<suffix>".
        """
        self._links = None
        node.input.extend([""] * (slot + 1 - len(node.input)))
        old = node.input[slot]
        if old in self._constants and self.sole_reader(old) is not None:
            name = old
        else:
            name = node.input[slot] = self.free(f"{node.name}/{suffix}")
        self._constants[name] = numpy_helper.from_array(array, name)
        self._links = None

    def add_constant(self, node: NodeProto, suffix: str, array: np.ndarray) -> str:
        """Add an initializer and return its name: "<node>/<suffix>", or one like it."""
        name = self.free(f"{node.name}/{suffix}")
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def free(self, name: str) -> str:
        """Return the name, or one like it that no value and no node of the source graph has."""
        while name in self._constants or name in self._taken:
            name += "_"
        return name

    def insert_before(self, node: NodeProto, new: Sequence[NodeProto]) -> None:
        """Put `new` in front of `node`."""
        index = self._index(node)
        self.nodes[index:index] = new
        self._links = None

    def insert_after(self, node: NodeProto, new: Sequence[NodeProto]) -> None:
        """Put `new` behind `node`."""
        index = self._index(node) + 1
        self.nodes[index:index] = new
        self._links = None

    def remove(self, node: NodeProto) -> None:
        """Take a node out; its outputs must have another maker by the end of the rule."""
        del self.nodes[self._index(node)]
        self._links = None

    def bypass(self, node: NodeProto, source: str) -> bool:
        """Take `node` out and let `source`, a value equal to its output, replace the output.

        Returns:
            False, and nothing is done, if both have names that the graph must keep.
        """
        result = node.output[0]
        old, new = result, source
        if result in self._outputs:
            maker = self.maker(source)
            if maker is None or source in self._outputs:
                return False
            maker.output[:] = [result if name == source else name for name in maker.output]
            old, new = source, result
        self.remove(node)
        for other in self.nodes:
            other.input[:] = [new if name == old else name for name in other.input]
        self._links = None
        return True

    def has(self, node: NodeProto) -> bool:
        """Whether an earlier match has left `node` in the graph."""
        return id(node) in self._linked().present

    def drop_dead(self) -> None:
        """Remove nodes that nothing reads any more."""
        read = set(self._outputs)
        alive = []
        for node in reversed(self.nodes):
            if read.intersection(node.output):
                read.update(node.input)
                alive.append(node)
        self.nodes = alive[::-1]
        self._links = None

    def finish(self) -> onnx.ModelProto:
        """Return the changed graph, its shapes inferred anew and unread initializers gone."""
        self.drop_dead()
        # Copies first: the nodes live in the list that is emptied.
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in self.nodes]
        read = {name for node in nodes for name in node.input} | self._outputs
        kept = [tensor for name, tensor in self._constants.items() if name in read]
        tensors = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        graph = self._proto.graph
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend(tensors)
        return infer_shapes(self._proto)

    def _linked(self) -> "_Links":
        if self._links is None:
            self._links = _Links(self.nodes)
        return self._links

    def _index(self, node: NodeProto) -> int:
        return next(index for index, other in enumerate(self.nodes) if other is node)


class _Links:
    """The nodes that make and read each value.

    Attributes:
        makers: node by value.
        readers: nodes by value; one that reads it twice stands there twice.
        present: ids of the nodes.
    """

    def __init__(self, nodes: Sequence[NodeProto]) -> None:
        self.makers = {name: node for node in nodes for name in node.output if name}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in nodes:
            for name in node.input:
                self.readers[name].append(node)
        self.present = {id(node) for node in nodes}


def _captured(graph: onnx.GraphProto) -> set[str]:
    """Names that subgraphs (of If, Loop, Scan) read: like graph outputs, they must stay."""
    inner = [entry.g for node in graph.node for entry in node.attribute if entry.HasField("g")]
    names = {name for each in inner for node in each.node for name in node.input}
    returned = {value.name for each in inner for value in each.output}
    return names.union(returned, *map(_captured, inner))


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Value of a node's attribute, or `default`."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def set_attributes(node: NodeProto, **values: Any) -> None:
    """Set attributes of a node; None takes one away."""
    kept = [entry for entry in node.attribute if entry.name not in values]
    new = [helper.make_attribute(key, v) for key, v in values.items() if v is not None]
    del node.attribute[:]
    node.attribute.extend([*kept, *new])
