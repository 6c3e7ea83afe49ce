"""Nodes in the order in which they can run."""

from collections.abc import Iterable, Iterator

from onnx import NodeProto

from decig.errors import BadInputError
from decig.graph.inference import inputs_of


def in_order(nodes: Iterable[NodeProto], added: Iterable[NodeProto] = ()) -> Iterator[NodeProto]:
    """Yield nodes, each behind those whose outputs it reads, else in the order given.

    Args:
        nodes: all of these are yielded.
        added: of these, only what a yielded node reads.

    Raises:
        BadInputError: nodes wait for each other.
    """
    nodes = list(nodes)
    makers = {name: node for node in (*nodes, *added) for name in node.output if name}
    done: set[int] = set()
    for node in nodes:
        stack, waiting = [node], {id(node)}
        while stack:
            top = stack[-1]
            missing = [makers[name] for name in inputs_of(top) if name in makers]
            missing = [maker for maker in missing if id(maker) not in done]
            if id(top) in done or not missing:
                stack.pop()
                waiting.discard(id(top))
                if id(top) not in done:
                    done.add(id(top))
                    yield top
            elif id(missing[0]) in waiting:
                raise BadInputError(
                    f"{top.op_type} {top.name or top.output[0]} reads its own output in a circle"
                )
            else:
                stack.append(missing[0])
                waiting.add(id(missing[0]))
