"""The view of one ONNX node that an operator's translation works on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import fx

from decig.errors import BadInputError
from decig.graph.flow import attributes
from decig.training.ops.sizes import Dim
from decig.training.ops.tracer import Tracer

Value = fx.Node | np.ndarray
"""What the name of a value means: a node of the fx graph, or a constant that no call uses yet."""


class OpNode:
    """One ONNX node: its settings, its inputs in the fx graph, and methods to emit calls."""

    def __init__(
        self, proto: onnx.NodeProto, opset: int, tracer: Tracer, values: dict[str, Value]
    ) -> None:
        """View a node.

        Args:
            proto: the node. Outputs that nothing reads have the name "".
            opset: version of the default operator set.
            tracer: the fx graph that grows.
            values: every value known so far, by its name in the ONNX graph; constants that a call
                uses are replaced by their nodes in it.
        """
        self.proto = proto
        self._label = next(name for name in proto.output if name)
        self.name = proto.name or self._label
        self.op_type, self.domain, self.opset = proto.op_type, proto.domain, opset
        self.outputs = len(proto.output)
        self.tracer = tracer
        self._inputs = list(proto.input)
        self._values = values
        self._attributes = attributes(proto)

    def error(self, what: str) -> BadInputError:
        """Return an error that names this node."""
        return BadInputError(f"node {self.name} ({self.op_type}): {what}")

    # Settings

    def attr(self, name: str, default: Any = None) -> Any:
        """Return an attribute, strings decoded, or its default."""
        value = self._attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def setting(self, name: str, slot: int) -> list[Any] | None:
        """Return what older opsets give as an attribute and newer ones as a constant input.

        Returns:
            The numbers as a flat list; None when neither is there.
        """
        if self.has(slot):
            numbers: list[Any] = self.constant(slot).ravel().tolist()
            return numbers
        value = self.attr(name)
        return value if value is None or isinstance(value, list) else [value]

    # Outputs

    def wants(self, slot: int) -> bool:
        """Whether anything reads an output."""
        return slot < self.outputs and self.proto.output[slot] != ""

    # Inputs

    def has(self, slot: int) -> bool:
        """Whether an optional input is there."""
        return slot < len(self._inputs) and self._inputs[slot] != ""

    def is_constant(self, slot: int) -> bool:
        """Whether an input is a constant that no call uses yet."""
        return self.has(slot) and isinstance(self._find(slot), np.ndarray)

    def constant(self, slot: int) -> np.ndarray:
        """Return an input that must be known when the module is built."""
        value = self._find(slot)
        array = self.tracer.array(value) if isinstance(value, fx.Node) else value
        if array is None:
            raise self.error(f"its input {self._inputs[slot]} must be a constant")
        return array

    def tensor(self, slot: int) -> fx.Node:
        """Return an input as a value of the graph; a constant becomes a buffer."""
        return self._value(slot, trainable=False)

    def tensors(self) -> list[fx.Node]:
        """Return all inputs, of an operator that takes any number."""
        return [self.tensor(slot) for slot in range(len(self._inputs))]

    def weight(self, slot: int) -> fx.Node | None:
        """Return an input as a value of the graph; a constant becomes a parameter.

        None stands for an optional input that is not there.
        """
        return self._value(slot, trainable=True) if self.has(slot) else None

    def operand(self, slot: int) -> fx.Node | float | int:
        """Return an input of an elementwise operator.

        A constant of one element becomes a Python number. A constant with one number per channel,
        or one whose axes are bound to channels, becomes a parameter; any other (a map of the
        picture, a mask) a buffer.
        """
        if not self.is_constant(slot):
            return self.tensor(slot)
        array = self.constant(slot)
        if array.size == 1 and array.ndim <= self._widest():
            number: float | int = array.item()
            return number
        per_channel = sum(size > 1 for size in array.shape) == 1
        return self._value(slot, per_channel or self._inputs[slot] in self.tracer.bound)

    def _widest(self) -> int:
        live = [v for name in self._inputs if isinstance(v := self._values.get(name), fx.Node)]
        return max((self.rank(value) for value in live), default=-1)

    def _value(self, slot: int, trainable: bool) -> fx.Node:
        value = self._find(slot)
        if isinstance(value, np.ndarray):
            name = self._inputs[slot]
            trainable = trainable and np.issubdtype(value.dtype, np.floating)
            value = self._values[name] = self.tracer.constant(name, value, trainable)
        elif trainable and self.tracer.array(value) is not None:
            self.tracer.train(value)
        return value

    def _find(self, slot: int) -> Value:
        name = self._inputs[slot]
        if name not in self._values:
            raise self.error(f"its input {name} comes from an output that is not supported")
        return self._values[name]

    # What is known of values

    def shape(self, value: fx.Node) -> tuple[int, ...]:
        """Shape of a value at the declared input shape."""
        return self.tracer.shape(value)

    def rank(self, value: fx.Node) -> int:
        """Number of axes of a value."""
        return len(self.tracer.shape(value))

    def dims(self, value: fx.Node) -> tuple[Dim, ...]:
        """What the sizes of a value are made of."""
        return self.tracer.dims(value)

    def dtype(self, value: fx.Node) -> torch.dtype:
        """Element type of a value."""
        return self.tracer.dtype(value)

    def within_image(self, value: fx.Node, axes: Sequence[int]) -> tuple[int, ...]:
        """Return axes without the first one if the declared batch is one image.

        A reduction over a batch of one image reduces nothing, and such a graph is used with one
        image at a time. A training batch has several images: reducing over them would mix what
        is never mixed in use.
        """
        rank, alone = self.rank(value), self.shape(value)[:1] == (1,)
        return tuple(axis for axis in axes if axis % rank or not alone)

    def fix(self, value: fx.Node, axis: int) -> None:
        """Note that this node is right only where an axis of a value has its declared size."""
        self.tracer.fix(self.name, value, axis)

    # Calls

    def emit(
        self,
        function: Callable[..., Any],
        *args: Any,
        dims: Sequence[Dim] | None = None,
        **settings: Any,
    ) -> fx.Node:
        """Emit the call that computes this node's output; the call is named after that output.

        `dims` as in `Tracer.call`.
        """
        return self.tracer.call(self.name, function, args, settings, self._label, dims)

    def step(
        self,
        function: Callable[..., Any],
        *args: Any,
        dims: Sequence[Dim] | None = None,
        **settings: Any,
    ) -> fx.Node:
        """Emit an intermediate call for this node; the call is named after its function.

        `dims` as in `Tracer.call`.
        """
        return self.tracer.call(self.name, function, args, settings, None, dims)
