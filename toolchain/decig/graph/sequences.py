"""Sequences of tensors, replaced by tensors: PyTorch's exporter writes chunk and split with them.

SplitToSequence(x), SequenceAt(i)    ->  Split(x)
SequenceConstruct(a, b), SequenceAt(i)    ->  a or b
SequenceConstruct(a, b), ConcatFromSequence  ->  Concat(a, b)
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from decig.graph.inference import opset, shapes

_MAKERS = ("SplitToSequence", "SequenceConstruct")


def unroll_sequences(proto: onnx.ModelProto) -> bool:
    """Replace the nodes that read sequences at constant places, in `proto` itself.

    Args:
        proto: a graph with inferred shapes.

    Returns:
        Whether there were any. Sequences that nothing else reads are then without use.
    """
    graph = proto.graph
    makers = {node.output[0]: node for node in graph.node if node.op_type in _MAKERS}
    if not makers:
        return False
    constants = {tensor.name: tensor for tensor in graph.initializer}
    parts = {name: _parts(proto, maker, constants) for name, maker in makers.items()}
    adopted = _adopt_names(graph, makers, parts, constants)
    stand_ins = {
        index: taken
        for index, node in enumerate(graph.node)
        if node.output[0] not in adopted and (taken := _taken(node, parts, constants)) is not None
    }
    # Other readers of a sequence (its length, a computed place) keep it beside the Split.
    read = {node.input[0] for index, node in enumerate(graph.node) if index in stand_ins}
    read |= {node.input[0] for node in graph.node if node.output[0] in adopted}
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(graph.node):
        if node.output[0] in adopted:
            continue
        if node.op_type == "SplitToSequence" and node.output[0] in read:
            nodes.append(_split(proto, node, parts[node.output[0]]))
        nodes.append(stand_ins.get(index, node))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]  # invalidates the messages it held, hence the copies
    graph.node.extend(nodes)
    return bool(read)


Part = tuple[str, int]
"""Name of an element, and its size along the axis of the split (0 where there was none)."""


def _parts(
    proto: onnx.ModelProto, maker: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> list[Part]:
    """Elements of a sequence; none if its sizes are not known."""
    if maker.op_type == "SequenceConstruct":
        return [(name, 0) for name in maker.input]
    shape = shapes(proto).get(maker.input[0])
    given = {a.name: helper.get_attribute_value(a) for a in maker.attribute}
    if shape is None or (not given.get("keepdims", 1) and len(maker.input) < 2):
        return []
    whole = shape[given.get("axis", 0)]
    sizes = [1] * whole
    if len(maker.input) > 1 and maker.input[1]:
        if maker.input[1] not in constants:
            return []
        stated = numpy_helper.to_array(constants[maker.input[1]])
        sizes = stated.tolist() if stated.ndim else _equal(whole, int(stated))
    return [(f"{maker.output[0]}_{index}", size) for index, size in enumerate(sizes)]


def _adopt_names(
    graph: onnx.GraphProto,
    makers: dict[str, onnx.NodeProto],
    parts: dict[str, list[Part]],
    constants: dict[str, onnx.TensorProto],
) -> set[str]:
    """Name the outputs of a Split like those of the SequenceAt nodes that took them.

    Returns:
        The outputs of these SequenceAt nodes, which are needless now.
    """
    adopted: set[str] = set()
    for node in graph.node:
        if node.op_type != "SequenceAt" or node.input[1] not in constants:
            continue
        elements = parts.get(node.input[0])
        if not elements or makers[node.input[0]].op_type != "SplitToSequence":
            continue
        place = _place(constants[node.input[1]])
        name, size = elements[place]
        if name not in adopted:
            elements[place] = (node.output[0], size)
            adopted.add(node.output[0])
    return adopted


def _place(tensor: onnx.TensorProto) -> int:
    return int(numpy_helper.to_array(tensor).item())


def _equal(whole: int, part: int) -> list[int]:
    return [min(part, whole - start) for start in range(0, whole, part)]


def _split(proto: onnx.ModelProto, node: onnx.NodeProto, parts: Sequence[Part]) -> onnx.NodeProto:
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    names, sizes = [name for name, _ in parts], [size for _, size in parts]
    name = f"{node.name or node.output[0]}_split"
    if opset(proto) < 13:
        return helper.make_node("Split", node.input[:1], names, name=name, axis=axis, split=sizes)
    stated = numpy_helper.from_array(np.array(sizes, np.int64), f"{name}/sizes")
    proto.graph.initializer.append(stated)
    return helper.make_node("Split", [node.input[0], stated.name], names, name=name, axis=axis)


def _taken(
    node: onnx.NodeProto, parts: dict[str, list[Part]], constants: dict[str, onnx.TensorProto]
) -> onnx.NodeProto | None:
    """Return the node that replaces one that reads a sequence; None for any other node."""
    elements = parts.get(node.input[0]) if node.input else None
    if not elements:
        return None
    names = [name for name, _ in elements]
    if node.op_type == "SequenceAt" and node.input[1] in constants:
        source = names[_place(constants[node.input[1]])]
        return helper.make_node("Identity", [source], node.output, name=node.name)
    if node.op_type == "ConcatFromSequence":
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if not given.get("new_axis", 0):
            return helper.make_node("Concat", names, node.output, node.name, axis=given["axis"])
    return None
