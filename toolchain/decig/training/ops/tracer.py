"""Growing an fx graph while watching what every value's shape would be at other input sizes."""

import keyword
import operator
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from decig.errors import BadInputError
from decig.training.ops.sizes import Dim, Factor, Size, regroup

DECLARED, BATCH, EXTENT, GIVEN = "declared", "batch", "extent", "given"
"""Probes: the declared input shape; a larger batch; larger pictures; the size asked for."""

BATCH_FACTOR = 11
"""Batch of the probe BATCH, in declared batches.

No number of channels that is likely: where a style of the whole batch meets the weights of as many
channels, the shapes fit and the result is nonsense.
"""


@dataclass(frozen=True)
class Input:
    """A graph input: its declared shape, its element type, and its axes that carry pixels."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    spatial: tuple[int, ...]

    @property
    def has_batch(self) -> bool:
        """Whether axis 0 is a batch: not so for scalars and vectors."""
        return len(self.shape) > 1

    @property
    def extent(self) -> tuple[int, ...]:
        """Declared sizes of the axes that carry pixels."""
        return tuple(self.shape[axis] for axis in self.spatial)

    def probed(self, probe: str, given: tuple[int, ...]) -> tuple[int, ...]:
        """Shape under a probe; `given` are the sizes of the spatial axes for that probe."""
        shape = list(self.shape)
        if probe == BATCH and self.has_batch:
            shape[0] *= BATCH_FACTOR
        for place, axis in enumerate(self.spatial):
            if probe == EXTENT:
                # Multiples, so that strides go on dividing; distinct, to tell the axes apart.
                shape[axis] *= 2 + place
            elif probe == GIVEN:
                shape[axis] = given[place]
        return tuple(shape)


class Tracer:
    """Emits calls into an fx graph and runs each at once on meta tensors, one set per probe.

    The probes tell constants from sizes that follow the input, find the node where a graph is
    tied to its declared size, and check every call before the module is ever used.
    """

    def __init__(
        self,
        input_size: tuple[int, ...] | None = None,
        bound: Collection[str] = (),
        *,
        fixed_statistics: bool = False,
    ) -> None:
        """Prepare an empty graph.

        Args:
            input_size: pictures of this size, if given, must work too.
            bound: initializers that are bound to channels.
            fixed_statistics: whether normalisations use running statistics in training too.
        """
        self.graph = fx.Graph()
        self.inputs: list[fx.Node] = []
        self.root = nn.Module()
        self.initializers: dict[str, str] = {}
        self.tied: dict[str, str] = {}
        self.bound = bound
        self._given = input_size
        self._fixed_statistics = fixed_statistics
        self._probes = [DECLARED, BATCH, EXTENT, *([GIVEN] if input_size else [])]
        self._seen: dict[fx.Node, dict[str, Any]] = {}
        self._dims: dict[fx.Node, tuple[Dim, ...]] = {}
        self._sizes: dict[tuple[fx.Node, int], fx.Node] = {}
        self._arrays: dict[fx.Node, np.ndarray] = {}

    def placeholder(self, source: Input) -> fx.Node:
        """Add a graph input."""
        node = self.graph.placeholder(_identifier(source.name))
        self.inputs.append(node)
        given = self._given or ()
        shapes = {probe: source.probed(probe, given) for probe in self._probes}
        self._record(
            node,
            {p: torch.empty(s, dtype=source.dtype, device="meta") for p, s in shapes.items()},
        )
        return node

    def constant(self, name: str, array: np.ndarray, trainable: bool) -> fx.Node:
        """Add a tensor of the graph as a parameter or a buffer, under its sanitised name."""
        try:
            tensor = torch.from_numpy(np.array(array))
        except TypeError as error:
            raise BadInputError(
                f"initializer {name}: {array.dtype} cannot be trained; convert the model to float32"
            ) from error
        attribute = self._attribute(name)
        if trainable:
            self.root.register_parameter(attribute, nn.Parameter(tensor))
        else:
            self.root.register_buffer(attribute, tensor)
        self.initializers[attribute] = name
        node = self.graph.get_attr(attribute)
        self._record(node, dict.fromkeys(self._probes, tensor.to("meta")))
        self._arrays[node] = array
        return node

    def array(self, node: fx.Node) -> np.ndarray | None:
        """Content of a tensor that `constant` added; None for any other value."""
        return self._arrays.get(node)

    def train(self, node: fx.Node) -> None:
        """Make a parameter of a buffer that `constant` added: another node trains it."""
        attribute = str(node.target)
        buffer = self.root._buffers.get(attribute)
        if buffer is not None and buffer.is_floating_point():
            del self.root._buffers[attribute]
            self.root.register_parameter(attribute, nn.Parameter(buffer))

    def by_batch(self) -> fx.Node | bool:
        """Whether running statistics give way to those of the batch: the module's `training` flag.

        That is a value of the graph; False where they never do.
        """
        if self._fixed_statistics:
            return False
        node = self.graph.get_attr("training")
        self._seen[node] = dict.fromkeys(self._probes, False)
        return node

    def call(
        self,
        where: str,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None = None,
        dims: Sequence[Dim] | None = None,
    ) -> fx.Node:
        """Add a call and run it under every probe.

        Args:
            where: the ONNX node, for messages.
            target: the function to call.
            args: its arguments; values are given as their fx nodes.
            kwargs: its keyword arguments.
            name: name of the fx node; by default that of the function.
            dims: what the result's sizes are made of, where the caller knows better than the
                probes can tell.

        Raises:
            BadInputError: the call fails at the declared input shape, or at the one asked for.
        """
        node = self.graph.create_node("call_function", target, args, kwargs, name)
        seen: dict[str, Any] = {}
        for probe in list(self._probes):
            try:
                seen[probe] = self._run(node, probe)
            except (RuntimeError, ValueError, IndexError, TypeError, BadInputError) as error:
                first = str(error).splitlines()[0]
                self._drop(probe, where, f"node {where}: {first}")
        self._record(node, seen, dims)
        return node

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Shape of a value at the declared input shape."""
        return tuple(self._seen[node][DECLARED].shape)

    def dtype(self, node: fx.Node) -> torch.dtype:
        """Element type of a value."""
        dtype: torch.dtype = self._seen[node][DECLARED].dtype
        return dtype

    def dims(self, node: fx.Node) -> tuple[Dim, ...]:
        """What the sizes of a value are made of; what the graph is tied to counts as constant."""
        return tuple(
            tuple(self._settled(factor) for factor in dim) for dim in self._dims.get(node, ())
        )

    def regroup(self, where: str, node: fx.Node, target: Sequence[int]) -> list[Dim]:
        """Find what a reshape's new sizes are made of; where that is not clear, tie the graph.

        `target` holds positive sizes at the declared input shape, with the elements of `node`.
        """
        while (groups := regroup(self.dims(node), target)) is None:
            self._bake(next(p for p in (GIVEN, EXTENT, BATCH) if p in self._probes), where)
        return groups

    def fix(self, where: str, node: fx.Node, axis: int) -> None:
        """Note that an ONNX node needs an axis of a value to have its declared size."""
        for probe in list(self._probes):
            if self._seen[node][probe].shape[axis] != self.shape(node)[axis]:
                self._bake(probe, where)

    def _bake(self, probe: str, where: str) -> None:
        self._drop(probe, where, f"node {where} has the declared input size baked in")

    def size(self, dim: Dim) -> int | fx.Node:
        """Return the size as an argument for a call: an integer, or a value computed per run."""
        result: int | fx.Node = 1
        for factor in dim:
            value = factor if isinstance(factor, int) else self._size_value(factor)
            result = value if result == 1 else self._arithmetic(operator.mul, result, value)
        return result

    def scaled(self, dim: Dim, times: int, over: int) -> int | fx.Node:
        """Return `size * times // over` as an argument for a call."""
        value = self.size(dim)
        for function, by in ((operator.mul, times), (operator.floordiv, over)):
            if by != 1:
                value = self._arithmetic(function, value, by)
        return value

    def _size_value(self, size: Size) -> fx.Node:
        key = (size.value, size.axis)
        if key not in self._sizes:
            # Asked for where the value is made, so that nothing is kept alive for its shape.
            is_input = size.value.op == "placeholder"
            with self.graph.inserting_after(self.inputs[-1] if is_input else size.value):
                node = self.graph.call_method("size", key)
            self._seen[node] = {
                p: seen.shape[size.axis] for p, seen in self._seen[size.value].items()
            }
            self._sizes[key] = node
        node = self._sizes[key]
        if size.divisor == 1:
            return node
        return self.call("", operator.floordiv, (node, size.divisor), {})

    def _arithmetic(self, function: Callable[[int, int], int], a: Any, b: Any) -> Any:
        """Compute now what is known now, and leave the rest to the graph."""
        if isinstance(a, int) and isinstance(b, int):
            return function(a, b)
        return self.call("", function, (a, b), {})

    def _run(self, node: fx.Node, probe: str) -> Any:
        args = fx.map_arg(node.args, lambda used: self._seen[used][probe])
        kwargs = fx.map_arg(node.kwargs, lambda used: self._seen[used][probe])
        assert callable(node.target)
        with torch.no_grad():
            return node.target(*args, **kwargs)

    def _drop(self, probe: str, where: str, reason: str) -> None:
        if probe in (DECLARED, GIVEN):
            size = "" if probe == DECLARED else f" at {'x'.join(map(str, self._given or ()))}"
            raise BadInputError(f"the graph cannot be trained{size}: {reason}")
        self._probes.remove(probe)
        self.tied[probe] = where

    def _record(
        self, node: fx.Node, seen: dict[str, Any], dims: Sequence[Dim] | None = None
    ) -> None:
        self._seen[node] = seen
        if isinstance(seen[DECLARED], Tensor):
            rank = seen[DECLARED].dim()
            self._dims[node] = tuple(dims or (self._dim(node, axis) for axis in range(rank)))

    def _dim(self, node: fx.Node, axis: int) -> Dim:
        """Describe one axis: a constant, a size of an input of the call, or a size of its own."""
        sizes = self._sizes_of(self._seen[node], axis)
        if len(set(sizes)) == 1:
            return (sizes[0],)
        for used in node.all_input_nodes:
            for other, dim in enumerate(self._dims.get(used, ())):
                if self._sizes_of(self._seen[used], other) == sizes:
                    return dim
        return (Size(node, axis, sizes[0]),)

    def _sizes_of(self, seen: dict[str, Any], axis: int) -> list[int]:
        return [seen[probe].shape[axis] for probe in self._probes]

    def _settled(self, factor: Factor) -> Factor:
        if isinstance(factor, int):
            return factor
        sizes = self._sizes_of(self._seen[factor.value], factor.axis)
        return factor if len(set(sizes)) > 1 else factor.declared

    def _attribute(self, name: str) -> str:
        attribute = _identifier(name)
        while hasattr(self.root, attribute) or hasattr(fx.GraphModule, attribute):
            attribute += "_"
        return attribute


def _identifier(name: str) -> str:
    identifier = re.sub(r"\W", "_", name).lstrip("_")
    if not identifier[:1].isalpha() or keyword.iskeyword(identifier):
        identifier = f"p_{identifier}"
    return identifier
