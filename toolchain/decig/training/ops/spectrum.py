"""Fourier transforms."""

import torch
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op


@op("DFT")
def fourier(node: OpNode) -> fx.Node:
    """Y = discrete Fourier transform of X along an axis; the last axis is real or complex.

    The module is tied to the size of the axis: exporters bake the scale of an orthonormal
    transform, the root of that size, into constants.
    """
    x = node.tensor(0)
    if node.opset < 20:
        axis = node.attr("axis", 1)
    else:
        axis = node.constant(2).item() if node.has(2) else -2
    axis %= node.rank(x)
    node.fix(x, axis)
    length = node.constant(1).item() if node.has(1) else None
    inverse, onesided = bool(node.attr("inverse", 0)), bool(node.attr("onesided", 0))
    bins = node.shape(x)[axis]
    if inverse and onesided and length is not None and length // 2 + 1 != bins:
        raise node.error(f"half a spectrum of {bins} values gives {2 * bins - 2}, not {length}")
    return node.emit(transform, x, axis, length, inverse, onesided)


def transform(x: Tensor, axis: int, length: int | None, inverse: bool, onesided: bool) -> Tensor:
    """Transform one axis (ONNX operator DFT).

    Args:
        x: real [..., 1] or complex [..., 2].
        axis: to transform, not the last one.
        length: elements that are transformed: the axis is cut, or filled up with zeros.
        inverse: transform back, and divide by the length.
        onesided: give half of a spectrum only, whose other half mirrors it; or, with `inverse`,
            take such a half and give real values.

    Returns:
        Complex [..., 2]; real [..., 1] if `inverse` and `onesided`.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))  # bfloat16 has no complex numbers
    real = x.shape[-1] == 1
    values = x[..., 0] if real else torch.view_as_complex(x.contiguous())
    if inverse and onesided:
        signal: Tensor = torch.fft.irfft(values, length, axis)
        return signal.unsqueeze(-1)
    if onesided and real:
        return torch.view_as_real(torch.fft.rfft(values, length, axis))
    function = torch.fft.ifft if inverse else torch.fft.fft
    if real:
        values = torch.complex(values, torch.zeros_like(values))
    return torch.view_as_real(function(values, length, axis))
