"""Grows a graph node by node, spelling operators as its opset wants them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Map:
    """A feature map of shape [1, channels, height, width]."""

    name: str
    channels: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, self.channels, self.height, self.width)

    def now(self, name: str) -> "Map":
        """Another map of this shape."""
        return replace(self, name=name)


class Builder:
    """Collects nodes, weights and inputs; draws every choice from hypothesis."""

    def __init__(self, draw: Any, opset: int, seed: int) -> None:
        self._draw = draw
        self.opset = opset
        self.maps: list[Map] = []
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, np.ndarray] = {}
        self._random = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self._draw(st.integers(low, high)))

    def choose(self, options: Sequence[Any]) -> Any:
        return self._draw(st.sampled_from(options))

    def flip(self) -> bool:
        return bool(self._draw(st.booleans()))

    def chance(self, count: int) -> int:
        """A number below `count` that depends on the seed alone: hypothesis likes small ones."""
        return int(self._random.integers(count))

    def input(self, stem: str, *shape: int) -> str:
        name = f"{stem}_{len(self._inputs)}"
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def constant(self, value: Any, kind: Any = np.int64) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = np.array(value, kind)
        return name

    def weight(self, *shape: int, mean: float = 0.0, size: float | None = None) -> str:
        """Add a float weight; now and then hand out one that is used already, as exporters do."""
        stem = f"weight{mean:g}_"
        twins = [n for n, a in self._constants.items() if n.startswith(stem) and a.shape == shape]
        if twins and self.integer(0, 7) == 7:
            return twins[0]
        if size is None:
            size = float(1 / np.sqrt(np.prod(shape[1:])))
        name = f"{stem}{len(self._constants)}"
        self._constants[name] = self._random.normal(mean, size, shape).astype(np.float32)
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        place = len(self._nodes)
        names = [f"{kind.lower()}_{place}_{index}" for index in range(outputs)]
        node = helper.make_node(kind, inputs, names, name=f"{kind}_{place}", **attributes)
        self._nodes.append(node)
        return names

    def reshape(self, value: str, *shape: int) -> str:
        return self.op("Reshape", value, self.constant(shape))

    def transpose(self, value: str, *perm: int) -> str:
        return self.op("Transpose", value, perm=perm)

    def mean(self, value: str, axis: int) -> str:
        if self.opset >= 18:
            return self.op("ReduceMean", value, self.constant([axis]), keepdims=1)
        return self.op("ReduceMean", value, axes=[axis], keepdims=1)

    def unsqueeze(self, value: str, *axes: int) -> str:
        if self.opset >= 13:
            return self.op("Unsqueeze", value, self.constant(axes))
        return self.op("Unsqueeze", value, axes=axes)

    def split(self, value: str, axis: int, sizes: list[int], *, stated: bool = True) -> list[str]:
        """Split into `sizes`, or, not stated, into as many equal parts."""
        count = len(sizes)
        if stated and self.opset >= 13:
            return self.ops("Split", value, self.constant(sizes), outputs=count, axis=axis)
        if stated:
            return self.ops("Split", value, outputs=count, axis=axis, split=sizes)
        more = {"num_outputs": count} if self.opset >= 18 else {}
        return self.ops("Split", value, outputs=count, axis=axis, **more)

    def slice(self, value: str, start: int, end: int, axis: int) -> str:
        if self.opset < 10:
            return self.op("Slice", value, starts=[start], ends=[end], axes=[axis])
        bounds = [self.constant([n]) for n in (start, end, axis)]
        return self.op("Slice", value, *bounds)

    def pad(self, value: str, amounts: list[int], mode: str = "constant") -> str:
        if self.opset < 11:
            return self.op("Pad", value, pads=amounts, mode=mode)
        return self.op("Pad", value, self.constant(amounts), mode=mode)

    def convolution(self, x: Map, out: int | None = None, kernel: int = 3) -> Map:
        """Plain convolution at the same size, 4 to 12 outputs unless told."""
        out = out or self.integer(4, 12)
        weights = [self.weight(out, x.channels, kernel, kernel)]
        if self.flip():
            weights.append(self.weight(out, size=0.3))
        pads = [kernel // 2] * 4
        return Map(self.op("Conv", x.name, *weights, pads=pads), out, x.height, x.width)

    def divisible(self, x: Map, divisor: int) -> Map:
        """The map itself if its channels divide evenly, else a convolution of it that does."""
        if x.channels % divisor == 0:
            return x
        return self.convolution(x, out=divisor * self.integer(1, 12 // divisor))

    def few(self, x: Map) -> Map:
        """The map itself if it has at most 12 channels, else a convolution of it."""
        return x if x.channels <= 12 else self.convolution(x, kernel=1)

    def like(self, x: Map) -> Map:
        """Another map of the same shape: an old one if there is one, else a convolution."""
        same = [m for m in self.maps if m.shape == x.shape and m != x]
        return self.choose(same) if same and self.flip() else self.convolution(x, out=x.channels)

    def finish(self, outputs: list[str]) -> onnx.ModelProto:
        weights = [numpy_helper.from_array(a, name) for name, a in self._constants.items()]
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs
        ]
        graph = helper.make_graph(self._nodes, "random", self._inputs, ends, weights)
        opsets = [("", self.opset), ("com.microsoft", 1)]
        imports = [helper.make_operatorsetid(*pair) for pair in opsets]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


Grow = Callable[[Builder, Map], Map]


@dataclass(frozen=True)
class Block:
    """A way to get a new map from an old one.

    Sides stay between 1 and 16, channels between 1 and 48, values near 1.
    """

    grow: Grow
    since: int


BLOCKS: dict[str, Block] = {}


def block(since: int = 9) -> Callable[[Grow], Grow]:
    """Register a block under its function's name, for opsets from `since` on."""

    def register(function: Grow) -> Grow:
        BLOCKS[function.__name__] = Block(function, since)
        return function

    return register
