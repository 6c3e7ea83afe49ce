"""What a rewrite rule is, and how it says that it does not apply.

A rule is a function of a file of its own name:

    @rule("Conv", canonical=True)
    def pad_into_conv(graph: Editor, node: NodeProto) -> None:
        ...

It is called for every node of the operators that it names. Either it changes the graph around the
node, or it raises `NoMatch` with the reason and leaves the graph as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from decig.graph.rewrite.editor import Editor

Rewrite = Callable[[Editor, NodeProto], None]


class NoMatch(Exception):  # noqa: N818  # no error: most nodes do not match
    """A rule does not apply at a node; the message says why, in a few words about that node."""


@dataclass(frozen=True)
class Rule:
    """One exact rewrite.

    Attributes:
        name: of its function and its file.
        rewrite: the function.
        candidates: operators of the nodes that it looks at.
        canonical: whether it makes a graph better on any device. Any other rule pays on some
            devices and costs on others, so it is measured.
        one_size: whether it holds only at the size that the graph was analysed at, as it reads
            amounts or shapes that a file with dynamic axes computes from the size of the picture.
        needs_float32: whether its result, or that of a rule that it prepares for, does not survive
            fewer bits.
    """

    name: str
    rewrite: Rewrite
    candidates: frozenset[str]
    canonical: bool
    one_size: bool
    needs_float32: bool

    def looks_at(self, node: NodeProto) -> bool:
        """Whether a node is a candidate."""
        return node.op_type in self.candidates and node.domain in ("", "ai.onnx")


def rule(
    *candidates: str,
    canonical: bool = False,
    one_size: bool = False,
    needs_float32: bool = False,
) -> Callable[[Rewrite], Rule]:
    """Make a function a rule; the arguments are the attributes of `Rule`."""

    def make(function: Rewrite) -> Rule:
        return Rule(
            function.__name__,
            function,
            frozenset(candidates),
            canonical=canonical,
            one_size=one_size,
            needs_float32=needs_float32,
        )

    return make


def weights_of(graph: Editor, layer: NodeProto) -> np.ndarray:
    """Weights of a layer.

    Raises:
        NoMatch: they are computed.
    """
    weights = graph.constant(layer.input[1])
    if weights is None:
        raise NoMatch("its weights are computed")
    return weights


def bias_of(graph: Editor, layer: NodeProto) -> np.ndarray:
    """Bias of a layer or shift of a norm; [0] if there is none.

    Raises:
        NoMatch: it is computed.
    """
    name = layer.input[2] if len(layer.input) > 2 else ""
    bias = graph.constant(name) if name else np.zeros(1, np.float32)
    if bias is None:
        raise NoMatch("its bias is computed")
    return bias


def shape_of(graph: Editor, value: str) -> tuple[int, ...]:
    """Shape of a value that the source graph had.

    Raises:
        NoMatch: it is not known.
    """
    shape = graph.shape(value)
    if shape is None:
        raise NoMatch(f"the shape of {value} is not known")
    return shape


def reader_of(graph: Editor, node: NodeProto) -> NodeProto:
    """The one node that reads what a node gives.

    Raises:
        NoMatch: several do, or the graph returns it.
    """
    reader = graph.sole_reader(node.output[0])
    if reader is None:
        raise NoMatch("what it gives is read more than once, or is an output of the graph")
    return reader


def require_sole_reader(graph: Editor, maker: NodeProto) -> None:
    """Check that what a node in front of a candidate gives is read by the candidate alone.

    Raises:
        NoMatch: others read it too, or the graph returns it.
    """
    if graph.sole_reader(maker.output[0]) is None:
        raise NoMatch(f"what the {maker.op_type} in front gives is read elsewhere too")
