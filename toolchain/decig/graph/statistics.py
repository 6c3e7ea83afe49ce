"""Nodes whose statistics go over several channels, spelled out so that only kept ones count.

The mean over the kept channels is the mean over all of them, the others read as zero, divided by
the share that is kept. The oracle needs it: a mask in front of a LayerNormalization would count
the zeros.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from decig.graph.flow import attributes

_NEUTRAL = {
    "ReduceMax": -1e30,
    "ReduceMin": 1e30,
    "ReduceProd": 1.0,
    "ReduceLogSumExp": -1e30,
    "Softmax": -1e30,
    "LogSoftmax": -1e30,
}
"""Number that changes nothing where it stands instead of a removed channel, by operator."""


class Masked:
    """The nodes and constants that replace one node.

    Attributes:
        nodes: new nodes, in order; the last one has the old node's output.
        constants: new initializers.
    """

    def __init__(
        self,
        node: onnx.NodeProto,
        keep: np.ndarray,
        shape: tuple[int, ...],
        opset: int,
        axes: list[int] | None = None,
    ) -> None:
        """Spell out `node`.

        Args:
            node: a normalisation, reduction or softmax; its first input has the channels.
            keep: numbers of the input's element type, 1 for a kept channel and 0 for others, that
                broadcast to `shape`.
            shape: of the input.
            opset: of the graph.
            axes: over which a reduction goes; None for all, or where an attribute says it.
        """
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._node, self._opset = node, opset
        self._keep, self._shape = keep, shape
        if node.op_type == "ReduceMean":
            options = attributes(node)
            over = [a % len(shape) for a in options.get("axes", axes) or range(len(shape))]
            self._end(self._mean(node.input[0], keep, over, options.get("keepdims", 1)))
        elif node.op_type in _NEUTRAL:
            self._filled(_NEUTRAL[node.op_type])
        elif node.op_type == "GroupNormalization":
            self._group_norm()
        else:
            self._norm()

    def _norm(self) -> None:
        """Instance, layer or RMS normalisation: scale and bias broadcast from the last axes."""
        node, rank = self._node, len(self._shape)
        if node.op_type == "InstanceNormalization":
            axes, aside = list(range(2, rank)), (-1, *[1] * (rank - 2))
        else:
            first = attributes(node).get("axis", -1) % rank
            axes, aside = list(range(first, rank)), ()
        y = self._normalised(node.input[0], self._keep, axes, centred=_is_centred(node))
        self._end(self._affine(y, aside))

    def _group_norm(self) -> None:
        """[N, C, ...] as [N, groups, -1] and back."""
        groups, shape = attributes(self._node)["num_groups"], self._shape
        grouped = (shape[0], groups, -1)
        keep = np.broadcast_to(self._keep, shape).reshape(grouped)
        y = self._normalised(self._reshape(self._node.input[0], grouped), keep, [2], centred=True)
        self._end(self._affine(self._reshape(y, shape), (-1, *[1] * (len(shape) - 2))))

    def _filled(self, neutral: float) -> None:
        rest = self._constant((1 - self._keep) * np.array(neutral, self._keep.dtype))
        masked = self._op("Mul", self._node.input[0], self._constant(self._keep))
        filled = self._op("Add", masked, rest)
        self._emit(self._node).input[0] = filled

    def _normalised(self, x: str, keep: np.ndarray, axes: list[int], *, centred: bool) -> str:
        epsilon = self._constant(np.array(attributes(self._node).get("epsilon", 1e-5), keep.dtype))
        if centred:
            x = self._op("Sub", x, self._mean(x, keep, axes))
        variance = self._mean(self._op("Mul", x, x), keep, axes)
        return self._op("Div", x, self._op("Sqrt", self._op("Add", variance, epsilon)))

    def _mean(self, x: str, keep: np.ndarray, axes: list[int], keepdims: int = 1) -> str:
        """Mean of the kept channels: that of all, the others as zero, over the share kept."""
        masked = self._op("Mul", x, self._constant(keep))
        share = keep.mean(tuple(axes), keepdims=bool(keepdims))
        over = self._constant(np.array(axes, np.int64)) if self._opset >= 18 else ""
        given = {} if over else {"axes": axes}
        mean = self._op("ReduceMean", masked, *([over] if over else []), keepdims=keepdims, **given)
        # Where nothing is kept nothing is read either.
        return self._op("Div", mean, self._constant(np.where(share, share, 1).astype(keep.dtype)))

    def _affine(self, y: str, aside: tuple[int, ...]) -> str:
        for kind, slot in (("Mul", 1), ("Add", 2)):
            if len(self._node.input) > slot and self._node.input[slot]:
                vector = self._node.input[slot]
                y = self._op(kind, y, self._reshape(vector, aside) if aside else vector)
        return y

    def _reshape(self, value: str, shape: tuple[int, ...]) -> str:
        return self._op("Reshape", value, self._constant(np.array(shape, np.int64)))

    def _constant(self, array: np.ndarray) -> str:
        name = f"{self._node.name}/kept{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def _op(self, kind: str, *inputs: str, **settings: Any) -> str:
        name = f"{self._node.name}/step{len(self.nodes)}"
        self._emit(helper.make_node(kind, inputs, [name], name=name, **settings))
        return name

    def _emit(self, node: onnx.NodeProto) -> onnx.NodeProto:
        twin = onnx.NodeProto()
        twin.CopyFrom(node)
        self.nodes.append(twin)
        return twin

    def _end(self, value: str) -> None:
        self._op("Identity", value)
        self.nodes[-1].output[0] = self._node.output[0]


def _is_centred(node: onnx.NodeProto) -> bool:
    return node.op_type in ("InstanceNormalization", "LayerNormalization")
