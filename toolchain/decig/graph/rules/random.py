"""Operators that draw random numbers: what is drawn for a channel goes with it."""

from functools import partial

import onnx

from decig.graph.flow import Cut, Flow, on_axis
from decig.graph.ids import Ids
from decig.graph.rules.registry import rule

DRAWN = ("RandomNormal", "RandomUniform")
"""Operators whose shape is an attribute."""


@rule(*DRAWN)
def drawn(flow: Flow, node: onnx.NodeProto) -> None:
    """Noise out of nothing has no channels until it meets some (`decig.graph.rules.spare`)."""


@rule("Multinomial")
def multinomial(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Draw classes, of which none may go."""
    return flow.block(node, f"Multinomial {node.name} draws one of them")


def spare_axes(flow: Flow, node: onnx.NodeProto) -> dict[int, Ids]:
    """Give each axis of a draw identities, and let its shape follow when some go."""
    shape = flow.shape(node.output[0])
    found = {axis: flow.space.fresh(size) for axis, size in enumerate(shape) if size > 1}
    laid = {axis: on_axis(ids, axis, len(shape)) for axis, ids in found.items()}
    flow.on_cut(partial(_mend, node=node.name, shape=shape, laid=laid))
    return found


def _mend(cut: Cut, *, node: str, shape: tuple[int, ...], laid: dict[int, Ids]) -> None:
    sizes = list(shape)
    for axis, ids in laid.items():
        sizes[axis] = int(cut.kept(ids, axis).sum())
    cut.set_attribute(node, "shape", sizes)
