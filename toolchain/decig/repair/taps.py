"""What each position of a convolution's output reads: im2col on chosen positions."""

from dataclasses import dataclass

import numpy as np
import onnx

from decig.graph.flow import attributes
from decig.graph.operators import Kind, find


@dataclass(frozen=True)
class Geometry:
    """Spatial layout of one Conv, ConvTranspose or Gemm (a Gemm has no spatial axes).

    Attributes:
        source: spatial shape of the input.
        target: spatial shape of the output.
        kernel: spatial shape of the weights.
        strides: one an axis.
        dilations: one an axis.
        pads: padding at the beginning of each axis.
        transposed: whether it is a ConvTranspose.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    transposed: bool

    @property
    def positions(self) -> int:
        """Number of output positions."""
        return int(np.prod(self.target))

    def taps(self, positions: np.ndarray) -> np.ndarray:
        """Flat input positions under every kernel tap.

        Args:
            positions: P flat output positions.

        Returns:
            int [P, taps]; the number of input positions stands for "outside, zero".
        """
        taps = np.indices(self.kernel).reshape(len(self.kernel), int(np.prod(self.kernel)))
        places = np.unravel_index(positions, self.target) if self.target else ()
        flat = np.zeros((len(positions), taps.shape[1]), int)
        inside = np.ones_like(flat, bool)
        for axis, place in enumerate(places):
            index, valid = self._along(axis, place[:, None], taps[axis])
            inside &= valid & (index >= 0) & (index < self.source[axis])
            flat = flat * self.source[axis] + index
        return np.where(inside, flat, int(np.prod(self.source)))

    def _along(self, axis: int, out: np.ndarray, tap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stride = self.strides[axis]
        reach = tap * self.dilations[axis] - self.pads[axis]
        if not self.transposed:
            return out * stride + reach, np.ones(1, bool)
        # out = index * stride + reach, for the taps whose phase that is
        return (out - reach) // stride, (out - reach) % stride == 0


def geometry(
    node: onnx.NodeProto, source: tuple[int, ...], weight: tuple[int, ...], target: tuple[int, ...]
) -> Geometry:
    """Read the layout of a node from its attributes and the full shapes around it."""
    entry = find(node)
    rank = len(weight) - 2 if entry.kind is Kind.CONVOLUTION else 0
    options = attributes(node)
    kernel = weight[len(weight) - rank :] if rank else ()
    strides = tuple(options.get("strides", [1] * rank))
    dilations = tuple(options.get("dilations", [1] * rank))
    transposed = entry.transposed
    spatial = (source[2:], target[2:]) if rank else ((), ())
    begin = options.get("pads", [0] * 2 * rank)[:rank]
    auto = options.get("auto_pad", b"NOTSET").decode()
    if auto == "VALID":
        begin = [0] * rank
    elif auto != "NOTSET" or "output_shape" in options:
        begin = [
            _begin(_total(i, o, k, s, d, transposed, e), auto)
            for i, o, k, s, d, e in zip(
                *spatial,
                kernel,
                strides,
                dilations,
                options.get("output_padding", [0] * rank),
                strict=True,
            )
        ]
    return Geometry(*spatial, kernel, strides, dilations, tuple(begin), transposed)


def _total(
    source: int, target: int, kernel: int, stride: int, dilation: int, transposed: bool, extra: int
) -> int:
    """Padding on both ends together that turns `source` positions into `target`."""
    span = (kernel - 1) * dilation + 1
    if transposed:
        return max(0, (source - 1) * stride + extra + span - target)
    return max(0, (target - 1) * stride + span - source)


def _begin(total: int, auto: str) -> int:
    """Share of an automatic padding at the beginning, as ONNX Runtime places it."""
    return total // 2 if auto == "SAME_UPPER" else total - total // 2


def columns(value: np.ndarray, taps: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Gather what every position reads.

    Args:
        value: [C, *spatial] input of the layer.
        taps: [P, T] of `Geometry.taps`.
        out: where to put it.

    Returns:
        float32 [P, T, C].
    """
    flat = value.reshape(len(value), -1)
    padded = np.zeros((flat.shape[1] + 1, len(flat)), np.float32)
    padded[:-1] = flat.T
    # No tap is out of bounds; without "clip", `out` would be filled by way of another array.
    return np.take(padded, taps, axis=0, out=out, mode="clip")
