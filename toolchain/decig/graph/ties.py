"""Channels that go together because several nodes use one weight.

A weight that several nodes share loses the same rows and columns for all of them. So what one node
makes or reads with it is united with what each other node does, axis by axis.
"""

from collections import defaultdict

import numpy as np

from decig.graph.flow import Binding, Flow
from decig.graph.ids import FIXED, Ids, varying_axes


def unite_shared(flow: Flow) -> None:
    """Unite the channels that are bound to the same axis of the same initializer.

    Where they cannot be told apart axis by axis, or a reader binds nothing, all are frozen.
    """
    uses: dict[str, list[str]] = defaultdict(list)
    for node in flow.proto.graph.node:
        for name in node.input:
            if flow.is_constant(name):
                uses[name].append(node.name)
    bound: dict[str, dict[str, list[Binding]]] = defaultdict(lambda: defaultdict(list))
    for binding in (*flow.bindings, *flow.spare_bindings):
        if len(uses[binding.initializer]) > 1:
            bound[binding.initializer][binding.node].append(binding)
    for name, by_node in bound.items():
        _unite(flow, name, uses[name], by_node)


def _unite(flow: Flow, name: str, nodes: list[str], by_node: dict[str, list[Binding]]) -> None:
    reason = f"weights {name} are shared"
    sides = [_along(by_node[node], flow.shape(name)) for node in nodes if node in by_node]
    if len(set(nodes)) < len(nodes) or None in sides:
        for bindings in by_node.values():
            for binding in bindings:
                flow.space.freeze(binding.ids, reason)
        return
    known = [side for side in sides if side is not None]
    known += [{}] * (len(nodes) - len(known))  # a reader that binds nothing keeps all it reads
    for axis in sorted({axis for side in known for axis in side}):
        first, *others = (side.get(axis, np.array([FIXED])) for side in known)
        for other in others:
            flow.space.unite(first, other, reason)


def _along(bindings: list[Binding], shape: tuple[int, ...]) -> dict[int, Ids] | None:
    """Identities along each axis of a weight; None if they vary along several axes at once."""
    found: dict[int, Ids] = {}
    for binding in bindings:
        axes = varying_axes(binding.ids)
        if not axes:
            continue
        axis = axes[0] + len(shape) - binding.ids.ndim
        if len(axes) > 1 or axis in found:
            return None
        found[axis] = binding.ids.ravel()
    return found
