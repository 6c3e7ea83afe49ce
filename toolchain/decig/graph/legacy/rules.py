"""Operators that ONNX has withdrawn or changed, in current ones: a rule each, with its equation.

The first seven were experiments (opset 1 to 9) that ONNX Runtime still runs; exporters of
2018 and Windows ML wrote them. `x` is [N, C, H, W] where axes are named.
"""

from collections.abc import Callable

import numpy as np
from onnx import helper

from decig.graph.legacy.draft import Draft

Rule = Callable[[Draft, str], None]

_TO_THE_END = int(np.iinfo(np.int64).max)


def image_scaler(draft: Draft, x: str) -> None:
    """y[n, c] = scale * x[n, c] + bias[c]."""
    bias = np.array(draft.given("bias", [0.0]), draft.dtype).reshape(-1, 1, 1)
    draft.add("Add", draft.add("Mul", x, draft.given("scale", 1.0)), bias)


def crop(draft: Draft, x: str) -> None:
    """Y = x[:, :, top : H - bottom, left : W - right], with border = (left, top, right, bottom).

    Where scale = (height, width) is given: y = x[:, :, top : top + height, left : left + width].
    """
    left, top, right, bottom = draft.given("border", [0, 0, 0, 0])
    size = draft.given("scale")
    if size:
        ends = [top + size[0], left + size[1]]
    else:
        ends = [-bottom or _TO_THE_END, -right or _TO_THE_END]
    draft.add("Slice", x, axes=[2, 3], starts=[top, left], ends=ends)


def affine(draft: Draft, x: str) -> None:
    """Y = alpha * x + beta."""
    scaled = draft.add("Mul", x, draft.given("alpha", 1.0))
    draft.add("Add", scaled, draft.given("beta", 0.0))


def scale(draft: Draft, x: str) -> None:
    """Y = scale * x."""
    draft.add("Mul", x, draft.given("scale", 1.0))


def parametric_softplus(draft: Draft, x: str) -> None:
    """Y = alpha * log(1 + exp(beta * x))."""
    inner = draft.add("Softplus", draft.add("Mul", x, draft.given("beta", 1.0)))
    draft.add("Mul", inner, draft.given("alpha", 1.0))


def scaled_tanh(draft: Draft, x: str) -> None:
    """Y = alpha * tanh(beta * x)."""
    inner = draft.add("Tanh", draft.add("Mul", x, draft.given("beta", 1.0)))
    draft.add("Mul", inner, draft.given("alpha", 1.0))


def dynamic_slice(draft: Draft, x: str) -> None:
    """Y = x[starts : ends along axes], all of them constants; axes are the first ones if absent."""
    starts, ends, axes = (draft.array(slot) for slot in (1, 2, 3))
    if starts is None or ends is None:
        raise draft.refusal("without its bounds")
    attributes = {"starts": starts.tolist(), "ends": ends.tolist()}
    draft.add("Slice", x, **attributes, axes=None if axes is None else axes.tolist())


def thresholded_relu(draft: Draft, x: str) -> None:
    """Y = x where x > alpha, else 0."""
    passes = draft.add("Greater", x, draft.given("alpha", 1.0))
    kind = helper.np_dtype_to_tensor_dtype(draft.dtype)
    draft.add("Mul", x, draft.add("Cast", passes, to=kind))


def mean_variance_normalization(draft: Draft, x: str) -> None:
    """Y = (x - m) / (sqrt(v) + 1e-9), mean and variance over N, H, W, and C if across_channels.

    Without normalize_variance: y = x - m. The 1e-9 is that of later versions.
    """
    axes = [0, 1, 2, 3] if draft.given("across_channels", 0) else [0, 2, 3]
    mean = draft.add("ReduceMean", x, axes=axes, keepdims=1)
    centred = draft.add("Sub", x, mean)
    if draft.given("normalize_variance", 1):
        square = draft.add("Mul", centred, centred)
        deviation = draft.add("Sqrt", draft.add("ReduceMean", square, axes=axes, keepdims=1))
        draft.add("Div", centred, draft.add("Add", deviation, 1e-9))


def upsample(draft: Draft, x: str) -> None:
    """y[i] = x[i / scale], rounded down or blended: Resize with asymmetric coordinates."""
    scales = draft.given("scales")
    source = draft.node.input[1] if scales is None else np.array(scales, np.float32)
    mode = draft.given("mode", b"nearest")
    if draft.opset == 10:  # the Resize of opset 10 knows no other coordinates
        draft.add("Resize", x, source, mode=mode)
        return
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nowhere = np.array([], np.float32)  # a region of interest, which opset 11 wants to be there
    draft.add("Resize", x, nowhere, source, mode=mode, **how)


def group_normalization(draft: Draft, x: str) -> None:
    """Y = scale[g] * (x - m[g]) / sqrt(v[g] + epsilon) + bias[g] over the channels of a group g.

    The first version of the operator had one scale and one bias per group, as an
    InstanceNormalization of the groups has.
    """
    grouped = draft.add("Reshape", x, np.array([0, draft.given("num_groups"), -1], np.int64))
    normed = draft.add(
        "InstanceNormalization",
        grouped,
        *draft.node.input[1:3],
        epsilon=draft.given("epsilon", 1e-5),
    )
    draft.add("Reshape", normed, draft.add("Shape", x))


def broadcast(draft: Draft, x: str) -> None:
    """Y = x op b, where the axes of b are those of x from `axis` on, or its last ones.

    Before opset 7 the attributes `broadcast` and `axis` said so; now b needs trailing axes of
    size 1.
    """
    axis = draft.given("axis")
    other = draft.node.input[1]
    if draft.given("broadcast", 0) and axis is not None:
        ranks = draft.ranks
        if ranks[0] is None or ranks[1] is None:
            raise draft.refusal("on values of unknown rank")
        missing = ranks[0] - axis % ranks[0] - ranks[1]
        if missing > 0:
            other = draft.add("Unsqueeze", other, axes=list(range(ranks[1], ranks[1] + missing)))
    draft.add(draft.node.op_type, x, other)


def prelu(draft: Draft, x: str) -> None:
    """Y = x where x > 0, else slope[c] * x; the slope of before opset 7 is [C] or [1]."""
    slope, rank = draft.node.input[1], draft.ranks[0]
    if draft.ranks[1] == 1 and rank is not None and rank > 2:
        slope = draft.add("Unsqueeze", slope, axes=list(range(1, rank - 1)))
    draft.add("PRelu", x, slope)


def batch_normalization(draft: Draft, x: str) -> None:
    """Y = (x - mean) / sqrt(variance + epsilon) * scale + shift, each number at its position.

    Until opset 8 `spatial` = 0 gave every position [C, H, W] its own numbers.
    """
    scale, shift, mean, variance = draft.node.input[1:5]
    spread = draft.add("Sqrt", draft.add("Add", variance, draft.given("epsilon", 1e-5)))
    centred = draft.add("Sub", x, mean)
    normalised = draft.add("Mul", centred, draft.add("Div", scale, spread))
    draft.add("Add", normalised, shift)


WITHDRAWN: dict[str, Rule] = {
    "ImageScaler": image_scaler,
    "Crop": crop,
    "Affine": affine,
    "Scale": scale,
    "ParametricSoftplus": parametric_softplus,
    "ScaledTanh": scaled_tanh,
    "DynamicSlice": dynamic_slice,
    "ThresholdedRelu": thresholded_relu,
    "MeanVarianceNormalization": mean_variance_normalization,
    "Upsample": upsample,
    "GroupNormalization": group_normalization,
}
"""Operators at opsets where ONNX does not define them."""

CHANGED: dict[str, Rule] = {
    "PRelu": prelu,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow"), broadcast),
    **dict.fromkeys(("And", "Or", "Xor", "Equal", "Greater", "Less"), broadcast),
}
"""Operators before opset 7 that ONNX's own converter gets wrong (as of 1.23)."""
