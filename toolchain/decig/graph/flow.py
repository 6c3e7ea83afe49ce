"""One pass over a graph that carries channel identities from its inputs to its outputs.

The rules of `decig.graph.rules` see a `Flow`: they read the identities of a node's inputs, unite,
freeze and bind them, and return those of its outputs. Where an operator has a constant that
depends on a channel count, its rule also says how to mend it (`Flow.on_cut`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import onnx
from onnx import numpy_helper

from decig.graph.ids import FIXED, Ids, IdSpace
from decig.graph.inference import inputs_of, opset, shapes

Role = Literal["write", "read", "scale", "shift", "statistic", "value"]
"""What weights do with a channel: make it, read it, scale it, shift it, hold its mean or variance;
"value": they are combined with it in another way."""


@dataclass(frozen=True)
class Binding:
    """An initializer's axis (or axes) whose indices are channels.

    Attributes:
        initializer: its name.
        node: the node that uses it.
        role: what the weights do with the channel.
        ids: identities, broadcastable to the initializer's shape.
        loose: whether each element serves channels along other axes too: the initializer is whole
            where it turns out that channels go along those alone.
    """

    initializer: str
    node: str
    role: Role
    ids: Ids
    loose: bool = False


@dataclass(frozen=True)
class Read:
    """A node's input at which channels are mixed: a channel of zeros there is as good as removed.

    Attributes:
        node: its name.
        value: name of the input.
        slot: place among the node's inputs.
        ids: identities of the input, of its rank.
    """

    node: str
    value: str
    slot: int
    ids: Ids


class Cut:
    """What a slice does to the graph; the menders that rules register work on it."""

    def __init__(self, proto: onnx.ModelProto, removed: np.ndarray) -> None:
        self._removed = removed
        self._nodes = {node.name: node for node in proto.graph.node}
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}

    def kept(self, ids: Ids, axis: int) -> np.ndarray:
        """Boolean mask of the indices kept along `axis` of an identity array."""
        return kept_along(self._removed, ids, axis)

    def shape(self, ids: Ids, shape: tuple[int, ...]) -> list[int]:
        """Shape that a tensor of these identities has after the cut."""
        return [
            int(self.kept(ids, axis).sum()) if ids.shape[axis] > 1 else size
            for axis, size in enumerate(shape)
        ]

    def constant(self, name: str) -> np.ndarray:
        """Value of an initializer."""
        return numpy_helper.to_array(self._constants[name])

    def set_constant(self, name: str, value: np.ndarray) -> None:
        """Replace an initializer."""
        self._constants[name].CopyFrom(numpy_helper.from_array(value, name))

    def attribute(self, node: str, name: str) -> Any:
        """Value of a node's attribute."""
        return attributes(self._nodes[node])[name]

    def set_attribute(self, node: str, name: str, value: Any) -> None:
        """Set a node's attribute."""
        attributes = self._nodes[node].attribute
        for index, attribute in enumerate(attributes):
            if attribute.name == name:
                del attributes[index]
                break
        attributes.append(onnx.helper.make_attribute(name, value))


def kept_along(removed: np.ndarray, ids: Ids, axis: int) -> np.ndarray:
    """Boolean mask of the indices along `axis` of an identity array at which something stays."""
    others = tuple(a for a in range(ids.ndim) if a != axis)
    mask: np.ndarray = ~removed[ids].all(axis=others)
    return mask


class Flow:
    """State of the pass: facts of the graph, and what the rules found so far.

    Attributes:
        proto: the graph.
        opset: version of its default operator set.
        shapes: static shapes of its values, by name.
        space: hands out identities, and knows which are united or frozen.
        ids: identities of the values that the pass has reached, by name.
        spare: identities of spare axes (`decig.graph.rules.spare`), by name and axis.
        bindings: axes of initializers whose indices are channels.
        spare_bindings: the same of spare axes, which may turn out to be none.
        reads: inputs at which channels are mixed.
        statistics: first inputs of nodes that take statistics over several channels.
        parts: identities of parts that were taken out of tensors.
        menders: what is to be done to constants and attributes when channels go.
        products: values with channels of two factors along two spare axes, as channel attention has
            them.
        blocked: why the outputs of nodes that the rules do not follow stay, by value name.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto = proto
        self.opset = opset(proto)
        self.shapes = shapes(proto)
        self.space = IdSpace()
        self.ids: dict[str, Ids | None] = {}
        self.spare: dict[str, dict[int, Ids]] = {}
        self.bindings: list[Binding] = []
        self.spare_bindings: list[Binding] = []
        self.reads: list[Read] = []
        self.statistics: list[Read] = []
        self.parts: list[Ids] = []
        self.menders: list[Callable[[Cut], None]] = []
        self.products: set[str] = set()
        self.blocked: dict[str, str] = {}

    @cached_property
    def _initializers(self) -> dict[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self.proto.graph.initializer}

    def is_constant(self, name: str) -> bool:
        """Whether a value is an initializer."""
        return name in self._initializers

    def constant(self, name: str) -> np.ndarray | None:
        """Value of an initializer, None for any other value or an absent input."""
        tensor = self._initializers.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def integers(self, node: onnx.NodeProto, attribute: str, slot: int) -> list[int] | None:
        """Integers given as an attribute (old opsets) or as a constant input; None if neither."""
        value = attributes(node).get(attribute)
        if value is None and len(node.input) > slot:
            value = self.constant(node.input[slot])
        return None if value is None else [int(v) for v in np.ravel(value)]

    def of(self, name: str) -> Ids | None:
        """Identities of a value."""
        return self.ids.get(name)

    def of_or_fixed(self, name: str) -> Ids:
        """Identities of a value of static shape; fixed ones for a value without channels."""
        ids = self.of(name)
        return np.full((1,) * len(self.shape(name)), FIXED) if ids is None else ids

    def shape(self, name: str) -> tuple[int, ...]:
        """Static shape of a value.

        Raises:
            KeyError: shape inference could not tell it; the caller freezes the node.
        """
        return self.shapes[name]

    def along(self, ids: Ids, axis: int, size: int, reason: str) -> Ids:
        """1-D identities [size] along one axis; where they vary along others, those are tied."""
        others = tuple(a for a in range(ids.ndim) if a != axis % ids.ndim)
        return np.broadcast_to(self.space.tie(ids, others, reason).ravel(), (size,))

    def bind(
        self, node: onnx.NodeProto, slot: int, role: Role, ids: Ids, *, loose: bool = False
    ) -> None:
        """Bind the initializer at an input slot; an absent input binds nothing.

        What a computed input meets is frozen.
        """
        name = node.input[slot] if len(node.input) > slot else ""
        if not name:
            return
        if self.is_constant(name):
            self.bindings.append(Binding(name, node.name, role, ids, loose))
        else:
            self.space.freeze(ids, f"{node.op_type} {node.name} has computed weights")
            self.space.freeze(self.of(name), f"weights of {node.op_type} {node.name}")

    def weigh(self, node: onnx.NodeProto, role: Role, axis: int, ids: Ids) -> None:
        """Bind 1-D identities to an axis of the weights at slot 1, constant or computed."""
        name = node.input[1]
        shape = self.shape(name)
        if self.is_constant(name):
            self.bind(node, 1, role, on_axis(ids, axis, len(shape)))
            return
        made = self.of(name)
        why = f"{node.op_type} {node.name} has computed weights"
        if axis in self.spare.get(name, {}):
            self.space.unite(ids, self.spare[name][axis], why)
        elif made is not None and shape[axis] > 1 and made.size == made.shape[axis]:
            self.space.unite(ids, made.ravel(), why)
        else:
            self.space.freeze(ids, why)
            self.space.freeze(made, f"weights of {node.op_type} {node.name}")

    def claimed(self, classes: np.ndarray) -> list[Binding]:
        """Bindings of the spare axes that turned out to be channels, given all classes."""
        spare = np.zeros(len(classes), bool)
        for binding in self.spare_bindings:
            spare[binding.ids] = True
        used = np.unique(classes[~spare])
        return [b for b in self.spare_bindings if np.isin(classes[b.ids], used).any()]

    def read(self, node: onnx.NodeProto, slot: int, ids: Ids) -> None:
        """Note that a node mixes the channels of an input; `ids` has the input's rank."""
        self.reads.append(Read(node.name, node.input[slot], slot, ids))

    def share(self, node: onnx.NodeProto, ids: Ids) -> None:
        """Note that a node takes statistics over channels of its first input.

        Removing one of them changes what becomes of the others.
        """
        self.space.mark_inexact(ids)
        self.statistics.append(Read(node.name, node.input[0], 0, ids))

    def part(self, ids: Ids) -> Ids:
        """Note a part taken out of a tensor; its channels become groups of their own.

        A plan keeps at least one channel of every group, so it cannot empty the part.
        """
        self.parts.append(ids)
        return ids

    def on_cut(self, mender: Callable[[Cut], None]) -> None:
        """Register how to mend a constant or attribute of the node when channels go."""
        self.menders.append(mender)

    def block(self, node: onnx.NodeProto, reason: str) -> list[Ids | None]:
        """Freeze all that a node touches; its outputs can never be cut."""
        for name in inputs_of(node):
            self.space.freeze(self.of(name), reason)
            for ids in self.spare.get(name, {}).values():
                self.space.freeze(ids, reason)
        self.blocked.update(dict.fromkeys(node.output, reason))
        return [self.fixed(name) for name in node.output]

    def findings(self) -> tuple[int, ...]:
        """How much was found so far; for `forget`."""
        return tuple(len(found) for found in self._found())

    def forget(self, findings: tuple[int, ...]) -> None:
        """Drop what a rule noted before it gave up on its node."""
        for found, count in zip(self._found(), findings, strict=True):
            del found[count:]

    def _found(self) -> tuple[list[Any], ...]:
        return self.bindings, self.reads, self.statistics, self.parts, self.menders

    def fixed(self, name: str) -> Ids:
        """Identities of a value that must stay as it is."""
        return np.full((1,) * len(self.shapes.get(name, ())), FIXED)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes as Python values."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def on_axis(ids: Ids, axis: int, rank: int) -> Ids:
    """Lay 1-D identities along one axis of a tensor of the given rank."""
    shape = [1] * rank
    shape[axis] = len(ids)
    return ids.reshape(shape)


def pad_rank(ids: Ids, rank: int) -> Ids:
    """Add leading axes of size 1, as broadcasting does."""
    return ids.reshape((1,) * (rank - ids.ndim) + ids.shape)
