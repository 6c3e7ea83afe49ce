"""If nodes whose condition is known, replaced by the branch that they take.

Exporters write an If where the source asks for a size; at a static size the answer is a constant.
"""

from collections.abc import Iterator, Mapping

import onnx
from onnx import NodeProto, helper

from decig.graph.inference import subgraphs


def take_branches(graph: onnx.GraphProto, conditions: Mapping[str, bool]) -> None:
    """Replace every If whose condition is known by the nodes of the branch that it takes.

    Nodes and values of a branch get the name of the If as a prefix, so that those of two branches
    do not collide.

    Args:
        graph: it is changed.
        conditions: values of the conditions that are known, by name.
    """
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type == "If" and node.input[0] in conditions:
            taken = "then_branch" if conditions[node.input[0]] else "else_branch"
            branch = next(a.g for a in node.attribute if a.name == taken)
            nodes += _written_out(graph, node, branch)
        else:
            nodes.append(NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(nodes)


def _written_out(
    graph: onnx.GraphProto, node: NodeProto, branch: onnx.GraphProto
) -> Iterator[NodeProto]:
    """Yield the nodes of a branch, renamed; its initializers are added to the graph."""
    prefix = f"{node.name or node.output[0]}/"
    own = {name for inner in branch.node for name in inner.output if name}
    own.update(tensor.name for tensor in branch.initializer)
    names = {name: prefix + name for name in own}
    for tensor in branch.initializer:
        copy = graph.initializer.add()
        copy.CopyFrom(tensor)
        copy.name = names[tensor.name]
    for inner in branch.node:
        copy = NodeProto.FromString(inner.SerializeToString())
        copy.name = prefix + inner.name if inner.name else ""
        rename(copy, names)
        yield copy
    for result, value in zip(node.output, branch.output, strict=True):
        if result:
            yield helper.make_node("Identity", [names.get(value.name, value.name)], [result])


def rename(node: NodeProto, names: Mapping[str, str]) -> None:
    """Rename what a node, and the graphs inside it, read and make."""
    for listed in (node.input, node.output):
        for slot, name in enumerate(listed):
            listed[slot] = names.get(name, name)
    for graph in subgraphs(node):
        for inner in graph.node:
            rename(inner, names)
        for value in graph.output:
            value.name = names.get(value.name, value.name)
