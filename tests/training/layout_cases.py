"""One-node graphs for operators that move data, resize, or are constant or fused."""

import numpy as np

from tests.training.op_case import IMAGE, case, ints, x

LAYOUT = [
    case("Reshape", x(*IMAGE), at={1: ints([2, 6, -1])}),
    case("Reshape", x(*IMAGE), at={1: ints([0, 3, 0, -1])}),
    case("Reshape", x(*IMAGE), at={1: ints([2, 3, 2, 72])}),
    case("Reshape", x(*IMAGE), at={1: ints([2, 6, 9, 4, 2])}),
    case("Flatten", x(*IMAGE)),
    case("Flatten", x(*IMAGE), axis=0),
    case("Flatten", x(*IMAGE), axis=-1),
    case("Squeeze", x(2, 1, 3, 1), opset=11, axes=[1, -1]),
    case("Squeeze", x(2, 1, 3, 1), at={1: ints([1])}),
    case("Squeeze", x(2, 1, 3, 1)),
    case("Unsqueeze", x(2, 3), opset=11, axes=[0, 3]),
    case("Unsqueeze", x(2, 3), at={1: ints([-1])}),
    case("Transpose", x(*IMAGE), perm=[0, 2, 3, 1]),
    case("Transpose", x(*IMAGE)),
    case("Concat", x(*IMAGE), x(2, 3, 9, 8), axis=1),
    case("Concat", x(*IMAGE), x(*IMAGE), axis=-1),
    case("Split", x(*IMAGE), opset=11, outputs=2, axis=1, split=[2, 4]),
    case("Split", x(*IMAGE), opset=11, outputs=3, axis=1),
    case("Split", x(*IMAGE), at={1: ints([1, 5])}, opset=13, outputs=2, axis=1),
    case("Split", x(2, 7, 3), outputs=4, axis=1, num_outputs=4),
    case("Split", x(*IMAGE), outputs=2, axis=3, num_outputs=2),
    case("Slice", x(*IMAGE), opset=9, starts=[0, 1], ends=[5, 2**31 - 1], axes=[1, 2]),
    case("Slice", x(*IMAGE), opset=9, starts=[0], ends=[1]),
    case("Slice", x(*IMAGE), at={1: ints([1, -3]), 2: ints([8, 2**63 - 1]), 3: ints([2, 3])}),
    case("Slice", x(*IMAGE), at={1: ints([1]), 2: ints([-1]), 3: ints([3]), 4: ints([3])}),
    case("Slice", x(*IMAGE), at={1: ints([-1]), 2: ints([-100]), 3: ints([1]), 4: ints([-2])}),
    case("Slice", x(*IMAGE), at={1: ints([4]), 2: ints([1]), 3: ints([-1]), 4: ints([-1])}),
    case("Gather", x(*IMAGE), at={1: ints([4, -1])}, axis=1),
    case("Gather", x(*IMAGE), at={1: ints(2)}, axis=1),
    case("Gather", x(*IMAGE), at={1: ints([[0, 1], [2, 3]])}, axis=1),
    case("Gather", x(7, 4), ints([[3, -2]])),
    case("Expand", x(2, 1, 9, 1), at={1: ints([2, 6, 9, 8])}),
    case("Expand", x(9, 1), at={1: ints([3, 1, 8])}),
    case("Tile", x(2, 3), at={1: ints([1, 2])}),
    case("Pad", x(*IMAGE), opset=10, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=0.5),
    case("Pad", x(*IMAGE), opset=10, pads=[0, 0, 1, 2, 0, 0, 3, 0], mode="reflect"),
    case("Pad", x(*IMAGE), at={1: ints([0, 1, 1, 2, 0, 2, 3, 0]), 2: np.float32(2)}, opset=11),
    case("Pad", x(*IMAGE), at={1: ints([0, 0, -1, 2, 0, 0, 0, -3])}, opset=13),
    case("Pad", x(*IMAGE), at={1: ints([0, 0, 1, 2, 0, 0, 3, 0])}, mode="edge"),
    case("Pad", x(*IMAGE), at={1: ints([0, 0, -1, 2, 0, 0, 2, -1])}, mode="reflect"),
    case("Pad", x(*IMAGE), at={1: ints([1, 2, 3, 4]), 3: ints([2, -1])}),
    case("Pad", x(*IMAGE), at={1: ints([0, 0, 1, 2, 0, 0, 1, 2])}, mode="wrap", opset=19),
    case("Pad", x(2, 6, 9), at={1: ints([0, 0, 1, 0, 0, 2])}, mode="reflect", opset=21),
    case("Pad", x(*IMAGE), at={1: ints([0] * 8)}),
    case("DepthToSpace", x(2, 8, 3, 5), blocksize=2),
    case("DepthToSpace", x(2, 8, 3, 5), blocksize=2, mode="CRD"),
    case("SpaceToDepth", x(2, 3, 4, 6), blocksize=2),
]


def _grid(*places):
    return np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).astype(np.int64)


PLACES = [
    case("Col2Im", x(2, 12, 20), at={1: ints([5, 6]), 2: ints([2, 2])}),
    case(
        "Col2Im", x(1, 18, 12), at={1: ints([6, 8]), 2: ints([3, 3])}, strides=[2, 2], pads=[1] * 4
    ),
    case(
        "Col2Im",
        x(1, 8, 16),
        at={1: ints([5, 4]), 2: ints([2, 2])},
        dilations=[2, 1],
        pads=[0, 1, 1, 0],
    ),
    case("ScatterND", x(6, 2, 3), x(3, 2, 3), at={1: ints([[4], [0], [-1]])}),
    case("ScatterND", x(6, 2, 3), x(3, 2, 3), at={1: ints([[1], [2], [3]])}),
    case("ScatterND", x(6, 2, 3), x(3, 2, 3), at={1: ints([[0], [2], [4]])}),
    case("ScatterND", x(1, 4, 5), x(1, 2, 3), at={1: _grid([0], [1, 3], [1, 2, 3])}),
    case("ScatterND", x(1, 4, 5), x(1, 2, 3), at={1: _grid([0], [1, 3], [1, 3, 4])}),
    case("ScatterND", x(4, 4), x(2, 2), at={1: ints([[[0, 1], [2, 3]], [[1, 0], [-1, -2]]])}),
    case("ScatterND", x(4, 3), ints([[2], [0]]), x(2, 3)),
    *[
        case("ScatterND", x(4, 3), x(3, 3), at={1: ints([[2], [0], [2]])}, reduction=how)
        for how in ("add", "mul", "max", "min")
    ],
    case("ScatterElements", x(4, 3), x(2, 3), at={1: ints([[0, 3, 1], [2, -2, 0]])}),
    case("ScatterElements", x(4, 3), x(2, 2), at={1: ints([[0, 2], [1, -3]])}, axis=1),
    case("Scatter", x(4, 3), x(1, 3), at={1: ints([[0, 3, 1]])}, opset=9),
    *[
        case(
            "ScatterElements", x(4, 3), x(2, 3), at={1: ints([[0, 3, 1], [0, 1, 0]])}, reduction=how
        )
        for how in ("add", "mul", "max", "min")
    ],
    case("GatherElements", x(4, 3), at={1: ints([[0, 2], [1, -3]])}, axis=1),
    case("GatherElements", x(4, 3), ints([[0, 3, -1]])),
    case("GatherND", x(4, 3, 2), at={1: ints([[0, 2], [3, -1]])}),
    case("GatherND", x(4, 3, 2), at={1: ints([[1], [-2]])}),
    case("GatherND", x(2, 3, 2), at={1: ints([[[1], [0]], [[2], [-1]]])}, batch_dims=1),
]
SPECTRUM = [
    *[
        case("DFT", x(2, 8, 7, last), at={1: np.int64(n), 2: np.int64(axis)}, opset=20, **kind)
        for last in (1, 2)
        for n in (5, 8, 11)
        for axis in (1, -2)
        for kind in ({}, {"inverse": 1})
    ],
    case("DFT", x(2, 8, 7, 1), at={2: np.int64(2)}, opset=20, onesided=1),
    case("DFT", x(2, 8, 7, 1), opset=20, onesided=1),
    case("DFT", x(2, 8, 7, 1), at={1: np.int64(9)}, opset=17, onesided=1, axis=2),
    case("DFT", x(2, 8, 7, 2), opset=17),
    *[
        case(
            "DFT",
            x(2, 5, 7, 2),
            at={1: np.int64(n), 2: np.int64(1)},
            opset=20,
            inverse=1,
            onesided=1,
        )
        for n in (8, 9)
    ],
]


def resized(*target, mode, opset=18, slot=2, **attributes):
    value = np.asarray(target, np.float32 if slot < 3 else np.int64)
    at = {slot: value} if opset > 10 else {1: value}
    return case("Resize", x(2, 3, 4, 6), at=at, mode=mode, opset=opset, **attributes)


RESIZE = [
    case("Upsample", x(2, 3, 4, 6), opset=7, scales=[1.0, 1.0, 2.0, 3.0], mode="nearest"),
    case("Upsample", x(2, 3, 4, 6), at={1: np.float32([1, 1, 2, 2])}, opset=9, mode="linear"),
    resized(1, 1, 2, 2, mode="nearest", opset=10),
    resized(1, 1, 2, 2, mode="linear", opset=10),
    resized(1, 1, 2, 2, mode="cubic", cubic_coeff_a=-0.75),
    resized(2, 3, 9, 7, mode="cubic", slot=3),
    case(
        "Resize",
        x(2, 3, 4, 6),
        mode="linear",
        opset=11,
        at={1: x(0), 2: x(0), 3: ints([2, 3, 9, 7])},
    ),
    resized(2, 3, 8, 3, mode="linear", slot=3),
    *[
        case(
            "Resize",
            x(1, 2, 16, 53),
            at={2: np.float32([1, 1, scale, scale])},
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        for scale in (0.25, 0.3, 0.5, 1.1, 1.7, 2, 2.2)
    ],
    *[
        resized(2, 3, *size, mode=mode, slot=3, coordinate_transformation_mode="pytorch_half_pixel")
        for size in ((1, 1), (1, 3), (2, 1))
        for mode in ("linear", "cubic")
    ],
    resized(2, 3, 6, 6, mode="nearest", slot=3, nearest_mode="floor"),
    resized(1, 2, 2, 1, mode="nearest"),
    *[
        resized(
            1,
            1,
            *scales,
            mode="nearest",
            coordinate_transformation_mode=mode,
            nearest_mode=rounding,
        )
        for scales in ((2, 3), (1.7, 0.6), (0.5, 0.5))
        for mode in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    ],
    *[
        resized(1, 1, *scales, mode="linear", coordinate_transformation_mode=mode)
        for scales in ((2, 3), (1.7, 0.6))
        for mode in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    ],
    resized(
        1,
        1,
        1.7,
        0.6,
        mode="linear",
        opset=19,
        coordinate_transformation_mode="half_pixel_symmetric",
    ),
    resized(
        1,
        1,
        2,
        2,
        mode="nearest",
        coordinate_transformation_mode="tf_half_pixel_for_nn",
        nearest_mode="floor",
    ),
    case("Resize", x(2, 3, 4, 6), at={2: np.float32([2, 2])}, axes=[2, 3], mode="nearest"),
    *[
        resized(
            1,
            1,
            *scales,
            mode=mode,
            coordinate_transformation_mode=coordinates,
            **kernel,
        )
        for scales in ((2, 1.5), (0.5, 0.4))
        for mode, kernel in (
            ("cubic", {"cubic_coeff_a": -0.5}),
            ("cubic", {"exclude_outside": 1}),
            ("cubic", {"antialias": 1}),
            ("cubic", {"antialias": 1, "exclude_outside": 1}),
            ("linear", {"antialias": 1}),
        )
        for coordinates in ("half_pixel", "asymmetric", "align_corners")
    ],
    *[
        case(
            "Resize",
            x(2, 4, 6, 3),
            at={3: ints([8, 9])},
            axes=[1, 2],
            mode="linear",
            opset=19,
            keep_aspect_ratio_policy=policy,
        )
        for policy in ("not_larger", "not_smaller")
    ],
]

CONSTANT = [
    case("Shape", x(2, 3, 4)),
    case("Shape", x(2, 3, 4), start=1, opset=15),
    case("Size", x(2, 3, 4)),
    case("Constant", value_floats=[1.0, 2.5], opset=13),
    case("Constant", value_int=3, opset=13),
    case("ConstantOfShape", at={0: ints([2, 3])}),
    case("Range", at={0: ints(1), 1: ints(9), 2: ints(3)}),
]
MICROSOFT = {"domain": "com.microsoft"}
FUSED = [
    case("FusedConv", x(*IMAGE), at={1: x(4, 6, 3, 3), 2: x(4)}, activation="Relu", **MICROSOFT),
    case(
        "FusedConv",
        x(*IMAGE),
        x(2, 4, 7, 6),
        at={1: x(4, 6, 3, 3), 2: x(4)},
        activation="LeakyRelu",
        activation_params=[0.2],
        **MICROSOFT,
    ),
    case("FusedConv", x(*IMAGE), at={1: x(4, 6, 3, 3)}, activation="Tanh", **MICROSOFT),
    case(
        "FusedGemm",
        x(3, 5),
        at={1: x(5, 4), 2: x(4)},
        activation="LeakyRelu",
        activation_alpha=0.1,
        **MICROSOFT,
    ),
    case("FusedMatMul", x(2, 3, 5), at={1: x(4, 5)}, transB=1, alpha=0.5, **MICROSOFT),
    case("FusedMatMul", x(2, 5, 3), x(2, 5, 4), transA=1, **MICROSOFT),
    *[
        case(
            "FusedMatMul",
            x(4, 2, 3, 5) if columns else x(5, 2, 3, 4),
            at={1: x(*((2, 3, 6, 4) if transposed else (2, 3, 4, 6)))},
            transBatchA=1,
            transA=columns,
            transB=transposed,
            **MICROSOFT,
        )
        for columns in (0, 1)
        for transposed in (0, 1)
    ],
    case("FusedMatMul", x(2, 5, 4), at={1: x(4, 2, 6)}, transBatchB=1, **MICROSOFT),
    case("FastGelu", x(2, 3, 4), at={1: x(4)}, **MICROSOFT),
    case("FastGelu", x(2, 3, 4), **MICROSOFT),
    case("QuickGelu", x(2, 3, 4), alpha=1.5, **MICROSOFT),
    case("Gelu", x(2, 3, 4), **MICROSOFT),
]
