"""Nearest upsampling and the convolution behind it, as one ConvTranspose.

Enlarging s times by repetition is a ConvTranspose of stride s with a window of s x s ones, and two
convolutions in a row are one with the convolved kernel. Along an axis, with K taps w, padding p
before and q behind,

    y[o]  =  sum over j of w[j] * x[floor((o - p + j) / s)]
          =  ConvTranspose(x, v, stride s, pads (K - 1 - p, K - 1 - q))[o]
    v[k]  =  sum of w[K - 1 - k + b] over b = 0 ... s - 1,    K + s - 1 taps

An enlarged pixel is s * s equal ones, and the convolution multiplies each of them: here the kernel
adds up their weights once instead. `phase_transpose` turns the ConvTranspose into convolutions of
the small picture with (1 + (K - 1) / s) ** 2 taps instead of K * K: a 3x3 convolution of a doubled
picture needs 4 instead of 9, and was 1.7 to 2.1 times faster at 8 to 64 outputs.

A Pad in between that reflects or repeats at most s - 1 pixels reaches into the outermost small
pixel only: it is one repeated pixel around the small picture.
"""

import math

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.rule import NoMatch, rule
from decig.graph.rewrite.windows import dense_kernel, pad_amounts


@rule("Conv", one_size=True)
def resize_into_transpose(graph: Editor, node: NodeProto) -> None:
    """Join `node`, a dense two-dimensional Conv of stride 1, and the enlargement in front."""
    weight, pads = dense_kernel(graph, node)
    value, border = node.input[0], graph.producer(node.input[0], "Pad")
    if border is not None:
        value = border.input[0]
    resize, factor = graph.maker(value), enlarges(graph, value)
    if resize is None or factor is None:
        raise NoMatch("no enlargement that repeats pixels is in front")
    if graph.sole_reader(value) is None:
        raise NoMatch("the enlarged picture is read elsewhere too")
    amounts = [0] * 4 if border is None else _border(graph, border, factor)
    if amounts is None or (border is not None and any(pads)):
        raise NoMatch("the Pad in front does not repeat pixels of the enlarged picture alone")
    kernel = weight.shape[2:]
    repeated = [math.ceil(amount / factor) for amount in amounts]
    # What the repeated pixels add beyond that is cut off, as by a negative padding of the Conv.
    ours = [p + a - factor * r for p, a, r in zip(pads, amounts, repeated, strict=True)]
    cut = [kernel[i % 2] - 1 - p for i, p in enumerate(ours)]
    if min(cut) < 0:
        raise NoMatch("it pads by more than its kernel reaches")
    _replace(graph, node, resize.input[0], _joined_kernel(weight, factor), factor, cut, repeated)


def enlarges(graph: Editor, value: str) -> int | None:
    """Factor by which `value` [N, C, H, W] repeats the pixels of a smaller picture.

    None if it does not, or if some pixel does not become a whole square.
    """
    maker = graph.maker(value)
    if maker is None or maker.op_type not in ("Resize", "Upsample"):
        return None
    source, target = graph.shape(maker.input[0]), graph.shape(value)
    mode = attribute(maker, "mode", b"nearest")
    if source is None or target is None or len(source) != 4 or mode != b"nearest":
        return None
    factor = target[2] // source[2]
    if tuple(target) != (*source[:2], source[2] * factor, source[3] * factor) or factor < 2:
        return None
    return factor if _is_exact(graph, maker, factor) and _repeats(maker, factor) else None


def _is_exact(graph: Editor, node: NodeProto, factor: int) -> bool:
    """Whether the scales of a resize are whole: 2.003 doubles a small picture, but unevenly."""
    scales = attribute(node, "scales", None)  # up to operator set 8
    slot = 2 if node.op_type == "Resize" and graph.opset > 10 else 1
    if scales is None and len(node.input) > slot and node.input[slot]:
        scales = graph.constant(node.input[slot])
        if scales is None:
            return False
    return scales is None or set(np.ravel(scales).tolist()) <= {1, factor}


def _repeats(node: NodeProto, factor: int) -> bool:
    """Whether output pixel o of the resize is input pixel floor(o / factor)."""
    if node.op_type == "Upsample":
        return True
    place = attribute(node, "coordinate_transformation_mode", b"half_pixel")
    rounding = attribute(node, "nearest_mode", b"round_prefer_floor")
    offsets = np.arange(factor)
    if place in (b"half_pixel", b"pytorch_half_pixel", b"half_pixel_symmetric"):
        positions = (offsets + 0.5) / factor - 0.5
    elif place == b"asymmetric":
        positions = offsets / factor
    else:
        return False
    rounded = {
        b"floor": np.floor(positions),
        b"ceil": np.ceil(positions),
        b"round_prefer_floor": np.ceil(positions - 0.5),
        b"round_prefer_ceil": np.floor(positions + 0.5),
    }
    return not rounded[rounding].any()


def _border(graph: Editor, node: NodeProto, factor: int) -> list[int] | None:
    """Pixels [top, left, bottom, right] that a Pad adds to an enlarged picture.

    None if they are not copies of the outermost small pixels.
    """
    amounts = pad_amounts(graph, node)
    limits = {b"reflect": factor - 1, b"edge": math.inf}
    limit = limits.get(attribute(node, "mode", b"constant"), -1)
    if amounts is None or len(amounts) != 8 or graph.sole_reader(node.output[0]) is None:
        return None
    spatial = [*amounts[2:4], *amounts[6:]]
    if any((*amounts[:2], *amounts[4:6])) or min(spatial) < 0 or max(spatial) > limit:
        return None
    return spatial


def _joined_kernel(weight: np.ndarray, factor: int) -> np.ndarray:
    """Weights [C, M, h + s - 1, w + s - 1] of the ConvTranspose for [M, C, h, w] of the Conv."""
    inputs, outputs = weight.shape[1], weight.shape[0]
    flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3).astype(np.float64)
    height, width = flipped.shape[2:]
    kernel = np.zeros((inputs, outputs, height + factor - 1, width + factor - 1))
    for i in range(factor):
        for j in range(factor):
            kernel[:, :, i : i + height, j : j + width] += flipped
    return kernel.astype(weight.dtype)


def _replace(
    graph: Editor,
    node: NodeProto,
    source: str,
    kernel: np.ndarray,
    factor: int,
    cut: list[int],
    repeated: list[int],
) -> None:
    """Replace `node` by the ConvTranspose, behind a Pad where pixels are repeated."""
    new = []
    if any(repeated):
        top, left, bottom, right = repeated
        amounts = np.array([0, 0, top, left, 0, 0, bottom, right])
        padded = f"{node.name}/border"
        if graph.opset < 11:
            pad = helper.make_node(
                "Pad", [source], [padded], name=padded, mode="edge", pads=amounts.tolist()
            )
        else:
            constant = graph.add_constant(node, "border_by", amounts)
            pad = helper.make_node("Pad", [source, constant], [padded], name=padded, mode="edge")
        new.append(pad)
        source = padded
    inputs = [source, graph.add_constant(node, "joined_w", kernel), *node.input[2:]]
    joined = helper.make_node(
        "ConvTranspose",
        inputs,
        node.output,
        name=node.name,
        kernel_shape=kernel.shape[2:],
        strides=[factor] * 2,
        pads=cut,
    )
    graph.insert_before(node, [*new, joined])
    graph.remove(node)
    graph.drop_dead()
