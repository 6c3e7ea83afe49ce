"""A cell of the table of docs/operators.md: a tensor in some layout, and what is put behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

RANKS = range(2, 7)
LAYOUTS = ("first", "last")
"""Where the channels stand: N,C,... or N,...,C."""


class NoSuchCellError(Exception):
    """The operator makes no sense at this rank."""


@dataclass
class Cell:
    """A tensor in one layout, and the nodes that a row of the table puts behind it."""

    rank: int
    layout: str
    opset: int = 21

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.rank)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        spatial = (6, 4, 2, 2)[: self.rank - 2]
        self.channels = 8
        self.shape = (2, *spatial, 8) if self.layout == "last" else (2, 8, *spatial)
        self.channel_axis = self.rank - 1 if self.layout == "last" else 1
        self.spatial_axes = [a for a in range(1, self.rank) if a != self.channel_axis]

    def require_spatial(self) -> None:
        if not self.spatial_axes:
            raise NoSuchCellError

    def numbers(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape, dtype=np.float32)

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        place = len(self.nodes)
        names = [f"v{place}", *(f"v{place}_{index}" for index in range(1, outputs))]
        name = f"{kind}_{place}"
        domain = "com.microsoft" if kind in ("QuickGelu",) else ""
        node = helper.make_node(kind, inputs, names, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return names[0]

    def channels_first(self, value: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """Apply an operator that knows N,C,... alone, between Transposes as exporters write it."""
        if self.layout == "first":
            return self.op(kind, value, *inputs, **attributes)
        there = [0, self.rank - 1, *range(1, self.rank - 1)]
        back = [0, *range(2, self.rank), 1]
        first = self.op("Transpose", value, perm=there)
        return self.op("Transpose", self.op(kind, first, *inputs, **attributes), perm=back)

    def along_channels(self, vector: np.ndarray) -> str:
        """A constant with a number per channel, shaped to be broadcast."""
        shape = [1] * self.rank
        shape[self.channel_axis] = -1
        return self.constant(vector.reshape(shape))

    def model(self, last: str) -> onnx.ModelProto:
        kind = onnx.TensorProto.INT64 if "ArgMax" in self.nodes[-1].op_type else 1
        graph = helper.make_graph(
            self.nodes,
            "cell",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(last, kind, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


Row = Callable[[Cell], str]


class Rows(dict[str, Row]):
    """Rows of the table by their names, in their order: each puts its operators into a cell."""

    def row(self, name: str) -> Callable[[Row], Row]:
        """Add a function as a row."""

        def register(function: Row) -> Row:
            self[name] = function
            return function

        return register
