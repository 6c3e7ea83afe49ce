"""A graph whose consumers of channels read estimates in place of what is there, where told to.

One session then serves however many sets of channels are taken away: to open one for each would be
to read and lay out all weights again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from decig.graph.inference import kinds
from decig.graph.model import shapes
from decig.repair.readers import Reader


@dataclass(frozen=True)
class Estimate:
    """x B + c in place of what one consumer reads; three more inputs of the graph.

    Attributes:
        reader: the consumer.
    """

    reader: Reader

    @property
    def stem(self) -> str:
        """Start of the names of all that is added to the graph."""
        return f"{self.reader.read.node}/estimate{self.reader.read.slot}"

    @property
    def value(self) -> str:
        """Name of what the consumer reads instead."""
        return f"{self.stem}/out"

    def feeds(self, gone: np.ndarray) -> dict[str, np.ndarray]:
        """The added inputs for a run in which some classes are taken away."""
        mine = np.isin(self.reader.labels, gone)
        told = bool(mine.any())
        matrix, offset = self.reader.estimate(mine) if told else (np.zeros((0, 0)), np.zeros(0))
        return {
            f"{self.stem}/told": np.array(told),
            f"{self.stem}/B": matrix.astype(np.float32),
            f"{self.stem}/c": offset.astype(np.float32),
        }

    def inputs(self) -> list[onnx.ValueInfoProto]:
        """Descriptions of the added inputs."""
        return [
            helper.make_tensor_value_info(f"{self.stem}/told", TensorProto.BOOL, []),
            helper.make_tensor_value_info(f"{self.stem}/B", TensorProto.FLOAT, [None, None]),
            helper.make_tensor_value_info(f"{self.stem}/c", TensorProto.FLOAT, [None]),
        ]

    def choice(self, kind: int, rank: int) -> onnx.NodeProto:
        """Node that passes on the estimate or what is there; `kind` and `rank` are of the value."""
        source, stem = self.reader.read.value, self.stem
        swap = list(range(rank))
        swap[self.reader.axis], swap[-1] = swap[-1], swap[self.reader.axis]
        estimated = [
            # B, and sums of products with it, may be beyond the range of float16.
            helper.make_node("Cast", [source], [f"{stem}/wide"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", [f"{stem}/wide"], [f"{stem}/last"], perm=swap),
            helper.make_node("MatMul", [f"{stem}/last", f"{stem}/B"], [f"{stem}/product"]),
            helper.make_node("Add", [f"{stem}/product", f"{stem}/c"], [f"{stem}/sum"]),
            helper.make_node("Transpose", [f"{stem}/sum"], [f"{stem}/planar"], perm=swap),
            helper.make_node("Cast", [f"{stem}/planar"], [f"{stem}/estimated"], to=kind),
        ]
        plain = [helper.make_node("Identity", [source], [f"{stem}/plain"])]
        return helper.make_node(
            "If",
            [f"{stem}/told"],
            [self.value],
            name=stem,
            then_branch=_branch(estimated, kind, rank),
            else_branch=_branch(plain, kind, rank),
        )


def with_estimates(proto: onnx.ModelProto, estimates: Sequence[Estimate]) -> onnx.ModelProto:
    """Put estimates before their consumers; `proto`, in normal form, stays as it is."""
    known, rank = kinds(proto), {name: len(shape) for name, shape in shapes(proto).items()}
    places = {(part.reader.read.node, part.reader.read.slot): part for part in estimates}
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    del changed.graph.node[:]
    for node in proto.graph.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        for slot, source in enumerate(node.input):
            if part := places.get((node.name, slot)):
                changed.graph.node.append(part.choice(known[source], rank[source]))
                copied.input[slot] = part.value
        changed.graph.node.append(copied)
    changed.graph.input.extend(info for part in estimates for info in part.inputs())
    return changed


def _branch(nodes: list[onnx.NodeProto], kind: int, rank: int) -> onnx.GraphProto:
    result = helper.make_tensor_value_info(nodes[-1].output[0], kind, [None] * rank)
    return helper.make_graph(nodes, "branch", [], [result])
