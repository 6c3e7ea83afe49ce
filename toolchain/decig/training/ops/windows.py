"""Sliding windows: what convolutions and pools share."""

from dataclasses import dataclass
from typing import Self

import torch.nn.functional as F
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.sizes import follows_input


@dataclass(frozen=True)
class Window:
    """A window over the spatial axes: sizes, steps, and padding at the begin and end of each."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: list[tuple[int, int]]
    auto_pad: str

    @classmethod
    def of(cls, node: OpNode, kernel: tuple[int, ...]) -> Self:
        """Read a node's attributes; the kernel comes from its weight, or from an attribute too."""
        rank = len(kernel)
        pads = node.attr("pads", [0] * 2 * rank)
        auto_pad = node.attr("auto_pad", "NOTSET")
        if auto_pad != "NOTSET":
            pads = [0] * 2 * rank
        return cls(
            kernel,
            tuple(node.attr("strides", [1] * rank)),
            tuple(node.attr("dilations", [1] * rank)),
            list(zip(pads[:rank], pads[rank:], strict=True)),
            auto_pad,
        )

    @property
    def extents(self) -> tuple[int, ...]:
        """Elements that the window spans, gaps of dilation included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def pad(self, node: OpNode, x: fx.Node, value: float = 0.0) -> tuple[fx.Node, list[int]]:
        """Emit the padding that the window's own call cannot do.

        Returns:
            The value to slide over, and the padding, the same on both sides, left to the call.
        """
        if self.auto_pad.startswith("SAME"):
            lower = self.auto_pad == "SAME_LOWER"
            if any(s != 1 for s in self.strides) and any(map(follows_input, node.dims(x)[2:])):
                # What is missing depends on how the stride divides the size of each batch.
                arguments = (self.extents, self.strides, lower, value)
                return node.step(pad_same, x, *arguments), [0] * len(self.kernel)
            pads = same_pads(node.shape(x)[2:], self.extents, self.strides, lower)
        else:
            pads = self.pads
        if all(begin == end for begin, end in pads):
            return x, [begin for begin, _ in pads]
        flat = [amount for pair in reversed(pads) for amount in pair]
        return node.step(F.pad, x, flat, value=value), [0] * len(self.kernel)


def same_pads(
    size: tuple[int, ...], extents: tuple[int, ...], strides: tuple[int, ...], lower: bool
) -> list[tuple[int, int]]:
    """Padding by which ceil(size / stride) windows fit; the odd element goes to the end, or begin.

    ONNX operator Conv, attribute auto_pad.
    """
    pads = []
    for n, extent, stride in zip(size, extents, strides, strict=True):
        total = max((-(-n // stride) - 1) * stride + extent - n, 0)
        small, large = total // 2, total - total // 2
        pads.append((large, small) if lower else (small, large))
    return pads


def pad_same(
    x: Tensor, extents: tuple[int, ...], strides: tuple[int, ...], lower: bool, value: float
) -> Tensor:
    """Pad a tensor as `same_pads` says, for a size known only now."""
    pads = same_pads(tuple(x.shape[2:]), extents, strides, lower)
    return F.pad(x, [amount for pair in reversed(pads) for amount in pair], value=value)
