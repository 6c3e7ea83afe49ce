"""One-node graphs for every operator, in every spelling that opsets and exporters know."""

import numpy as np

from tests.training.layout_cases import CONSTANT, FUSED, LAYOUT, PLACES, RESIZE, SPECTRUM
from tests.training.op_case import IMAGE, apart, case, ints, x


def reducible(kind: str, *shape: int) -> np.ndarray:
    """Positive numbers; for Max and Min so far apart that no small step changes which one it is."""
    numbers = np.abs(x(*shape)) + 0.1
    if kind not in ("Max", "Min"):
        return numbers
    ranks = numbers.ravel().argsort().argsort().reshape(shape)
    return (ranks / 20 + 0.1).astype(np.float32)


UNARY = (
    [
        case(op, np.abs(x(*IMAGE)) + 0.1, opset=22)
        for op in [
            "Abs",
            "Ceil",
            "Cos",
            "Erf",
            "Exp",
            "Floor",
            "HardSigmoid",
            "HardSwish",
            "LeakyRelu",
            "Log",
            "Mish",
            "Neg",
            "Reciprocal",
            "Relu",
            "Round",
            "Selu",
            "Sigmoid",
            "Sign",
            "Sin",
            "Softplus",
            "Softsign",
            "Sqrt",
            "Tanh",
            "Elu",
            "Celu",
            "ThresholdedRelu",
            "Identity",
            "Dropout",
        ]
    ]
    + [case(op, x(*IMAGE)) for op in ("Relu", "Selu", "LeakyRelu", "Softplus", "HardSwish", "Sign")]
    + [
        case("Atan", x(4, 3)),
        case("Asin", x(4, 3).clip(-0.9, 0.9)),
        case("Acos", x(4, 3).clip(-0.9, 0.9)),
        case("Elu", x(*IMAGE), alpha=0.7),
        case("Celu", x(*IMAGE), alpha=0.7),
        case("LeakyRelu", x(*IMAGE), alpha=0.2),
        case("HardSigmoid", x(*IMAGE), alpha=1 / 6, beta=0.5),
        case("ThresholdedRelu", x(*IMAGE), alpha=0.3),
        case("Gelu", x(*IMAGE), opset=20),
        case("Gelu", x(*IMAGE), opset=20, approximate="tanh"),
        case("Asinh", x(4, 3)),
        case("Acosh", np.abs(x(4, 3)) + 1.5),
        case("Atanh", x(4, 3).clip(-0.9, 0.9)),
        case("Sinh", x(4, 3)),
        case("Cosh", x(4, 3)),
        case("Tan", x(4, 3).clip(-1, 1)),
        case("Shrink", x(*IMAGE), lambd=0.6, bias=0.2),
        case("Shrink", x(*IMAGE)),
        case("IsNaN", x(4, 3)),
        *[
            case("IsInf", np.float32([1, np.inf, -np.inf]), detect_negative=a, detect_positive=b)
            for a in (0, 1)
            for b in (0, 1)
        ],
        case("Not", x(4, 3) > 0),
        case("Dropout", x(*IMAGE), opset=7, ratio=0.5),
        case("Cast", x(*IMAGE), to=7),
        case("Cast", x(*IMAGE), to=1),
        case("CastLike", x(*IMAGE), ints([3]), opset=19),
        case("Clip", x(*IMAGE), opset=7, min=-0.5, max=0.5),
        case("Clip", x(*IMAGE), opset=10, max=0.5),
        case("Clip", x(*IMAGE), at={1: np.float32(-0.5)}, opset=11),
        case("Clip", x(*IMAGE), at={1: np.float32(-0.5), 2: np.float32(0.5)}, opset=13),
        case("Clip", x(*IMAGE), at={2: np.float32(0.5)}, opset=23),
        case("Clip", x(*IMAGE), opset=13),
    ]
)
BINARY = [
    case(op, np.abs(x(*IMAGE)) + 0.1, np.abs(x(*IMAGE)) + 0.1)
    for op in [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Max",
        "Min",
        "Sum",
        "Mean",
        "Greater",
        "Less",
        "GreaterOrEqual",
        "Equal",
    ]
] + [
    case("Add", x(*IMAGE), at={1: x(6, 1, 1)}),
    case("Mul", x(*IMAGE), at={0: x(1, 6, 1, 1)}),
    case("Sub", x(*IMAGE), at={0: np.float32(3)}),
    case("Div", x(*IMAGE), at={1: np.float32([3])}),
    case("Div", x(*IMAGE), at={1: x(9, 8)}),
    case("Add", x(3), at={1: x(1, 1)}),
    case("Div", ints([7, -7, 8]), at={1: ints([2])}),
    case("Pow", np.abs(x(*IMAGE)) + np.float32(0.1), at={1: np.float32(0.5)}),
    case("Max", x(*IMAGE), at={1: np.float32(0)}),
    case("Min", x(*IMAGE), x(6, 1, 1), x(8)),
    case("Mean", x(*IMAGE), x(6, 1, 1), x(8)),
    case("Sum", x(4)),
    case("Mod", ints([7, -7, 8]), at={1: ints([3])}),
    case("Mod", x(5), at={1: x(5)}, fmod=1),
    case("And", x(3) > 0, x(3) > 0),
    case("Or", x(3) > 0, x(3) > 0),
    case("Xor", x(3) > 0, x(3) > 0),
    case("Where", x(*IMAGE) > 0, x(*IMAGE), at={2: np.float32(-1)}),
    case("PRelu", x(*IMAGE), at={1: x(6, 1, 1)}, opset=9),
    case("PRelu", x(*IMAGE), at={1: x(1)}),
    case("PRelu", x(*IMAGE), at={1: x(9, 1)}),
]
CONV = [
    case("Conv", x(*IMAGE), at={1: x(4, 6, 3, 3)}),
    case("Conv", x(*IMAGE), at={1: x(4, 6, 3, 3), 2: x(4)}, pads=[1, 1, 1, 1], strides=[2, 2]),
    case("Conv", x(*IMAGE), at={1: x(4, 6, 3, 3)}, pads=[0, 1, 2, 0], strides=[2, 1]),
    case("Conv", x(*IMAGE), at={1: x(4, 3, 3, 3)}, group=2, dilations=[2, 2]),
    case("Conv", x(*IMAGE), at={1: x(6, 1, 3, 3), 2: x(6)}, group=6),
    case("Conv", x(2, 6, 9), at={1: x(4, 6, 3)}, pads=[1, 1]),
    case("Conv", x(2, 2, 5, 6, 4), at={1: x(3, 2, 3, 3, 3)}, pads=[1] * 6),
    *[
        case("Conv", x(*IMAGE), at={1: x(4, 6, k, k)}, auto_pad=auto, strides=[s, s])
        for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")
        for k in (3, 4)
        for s in (1, 2)
    ],
    case("ConvTranspose", x(*IMAGE), at={1: x(6, 4, 3, 3)}),
    case(
        "ConvTranspose",
        x(*IMAGE),
        at={1: x(6, 4, 3, 3), 2: x(4)},
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        output_padding=[1, 1],
    ),
    case("ConvTranspose", x(*IMAGE), at={1: x(6, 4, 4, 4)}, strides=[2, 2], pads=[1, 1, 1, 1]),
    case("ConvTranspose", x(*IMAGE), at={1: x(6, 4, 3, 3)}, strides=[2, 2], pads=[0, 1, 1, 0]),
    case("ConvTranspose", x(*IMAGE), at={1: x(6, 4, 5, 5)}, strides=[2, 2], pads=[2, 0, 0, 2]),
    case("ConvTranspose", x(*IMAGE), at={1: x(6, 2, 3, 3)}, group=2, dilations=[2, 1]),
    case("ConvTranspose", x(2, 6, 9), at={1: x(6, 4, 4)}, strides=[2]),
    case("ConvTranspose", x(2, 2, 3, 4, 5), at={1: x(2, 3, 2, 2, 2)}, strides=[2, 2, 2]),
    case("ConvTranspose", x(*IMAGE), at={1: x(6, 4, 3, 3)}, strides=[2, 2], output_shape=[18, 16]),
    case(
        "ConvTranspose",
        x(*IMAGE),
        at={1: x(6, 4, 3, 3), 2: x(4)},
        strides=[2, 2],
        output_shape=[20, 18],
        auto_pad="VALID",
    ),
    case("ConvTranspose", x(*IMAGE), at={1: x(6, 4, 3, 3)}, strides=[2, 2], auto_pad="SAME_UPPER"),
    case("ConvTranspose", x(*IMAGE), at={1: x(6, 4, 4, 4)}, strides=[2, 2], auto_pad="SAME_LOWER"),
    case("Gemm", x(3, 5), at={1: x(4, 5), 2: x(4)}, transB=1),
    case("Gemm", x(3, 5), at={1: x(5, 4)}),
    case("Gemm", x(5, 3), at={1: x(5, 4), 2: x(3, 1)}, transA=1, alpha=0.5, beta=2.0),
    case("Gemm", x(3, 5), at={1: x(5, 4)}, alpha=0.5),
    case("MatMul", x(2, 3, 5), at={1: x(5, 4)}),
    case("MatMul", x(2, 3, 5), x(2, 5, 4)),
    case("Einsum", x(2, 3, 5), x(2, 5, 4), equation="bij,bjk->bik"),
    case("Einsum", x(2, 3, 5), at={1: x(5, 4)}, equation="...i,ij->...j"),
    case("Einsum", x(2, 6, 4, 3), at={0: x(1, 5, 6)}, equation="b q c, b c h w -> b q h w"),
    case("Einsum", x(2, 3, 5), equation="bij->bji"),
    case("Einsum", x(2, 3, 5), equation="bij->i"),
    case("Einsum", x(3, 2), x(3, 4), equation="ij,ik"),
    case("Einsum", x(2, 3), x(3, 4), x(4, 5), equation="ij,jk,kl->il"),
]
STATISTICS = {1: x(6), 2: x(6), 3: x(6), 4: np.abs(x(6)) + 0.5}
NORM = [
    *[
        case(
            "BatchNormalization",
            x(*IMAGE),
            opset=opset,
            epsilon=1e-3,
            at={1: x(6), 2: x(6), 3: x(6), 4: np.abs(x(6)) + 0.5},
        )
        for opset in (7, 9, 14, 15)
    ],
    *[
        case("BatchNormalization", x(*shape), at=STATISTICS, opset=opset, outputs=outputs, **mode)
        for shape in (IMAGE, (1, 6, 9, 8), (5, 6), (2, 6, 7), (1, 6, 3, 4, 5))
        for opset, outputs, mode in (
            (7, 5, {"momentum": 0.7}),
            (9, 5, {}),
            (14, 3, {"training_mode": 1}),
            (15, 3, {"training_mode": 1, "momentum": 0.6, "epsilon": 0.1}),
        )
    ],
    case(
        "BatchNormalization",
        *(x(1, 6, 9, 8), x(6), x(6)),
        at={3: x(6), 4: x(6) ** 2},
        opset=15,
        outputs=3,
        training_mode=1,
    ),
    case("InstanceNormalization", x(*IMAGE), at={1: x(6), 2: x(6)}, opset=7),
    case("InstanceNormalization", x(1, 6, 9, 8), x(6), x(6)),
    case("InstanceNormalization", x(2, 6, 1, 1), at={1: x(6), 2: x(6)}, epsilon=1e-2),
    case("InstanceNormalization", x(2, 6, 9), at={1: x(6), 2: x(6)}, epsilon=1e-2),
    case("GroupNormalization", x(*IMAGE), at={1: x(3), 2: x(3)}, num_groups=3),
    case("GroupNormalization", x(*IMAGE), at={1: x(6), 2: x(6)}, num_groups=3, opset=21),
    case("LayerNormalization", x(2, 5, 8), at={1: x(8), 2: x(8)}),
    case("LayerNormalization", x(*IMAGE), at={1: x(6, 9, 8), 2: x(6, 9, 8)}, axis=1),
    case("LayerNormalization", x(*IMAGE), at={1: x(6, 1, 1)}, axis=1, epsilon=1e-2),
    case("LayerNormalization", x(2, 5, 8), at={1: x(8), 2: x(1)}),
    case("RMSNormalization", x(2, 5, 8), at={1: x(8)}, opset=23),
    case("LpNormalization", x(2, 5, 8), axis=1),
    case("LpNormalization", x(2, 5, 8), p=1),
    case("MeanVarianceNormalization", x(*IMAGE), opset=12),
    case("LRN", x(*IMAGE), size=3, alpha=0.1),
]
REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()  # noqa: SIM905
REDUCE = [
    *[
        case(f"Reduce{kind}", reducible(kind, *IMAGE), opset=11, axes=[1, -1], keepdims=0)
        for kind in REDUCTIONS
    ],
    *[case(f"Reduce{kind}", reducible(kind, *IMAGE), at={1: ints([2, 3])}) for kind in REDUCTIONS],
    case("ReduceMean", x(*IMAGE), keepdims=0),
    *[
        case(f"Reduce{kind}", reducible(kind, 2, 3, 4), at=axes, noop_with_empty_axes=empty)
        for kind in REDUCTIONS
        for axes in (None, {1: np.zeros(0, np.int64)})
        for empty in (0, 1)
        if kind != "Prod" or empty
    ],
    case("ReduceSum", x(*IMAGE), at={1: ints([1])}, opset=13),
    case("ArgMax", x(*IMAGE), axis=1),
    case("ArgMin", x(*IMAGE), axis=-1, keepdims=0),
    case("ArgMax", np.round(x(*IMAGE)), axis=2, select_last_index=1),
    case("ArgMin", np.round(x(*IMAGE)), axis=-1, select_last_index=1, keepdims=0),
    case("CumSum", x(*IMAGE), at={1: ints(2)}),
    case("CumSum", x(*IMAGE), at={1: ints(-1)}, exclusive=1),
    case("CumSum", x(*IMAGE), at={1: ints(1)}, reverse=1),
    case("CumSum", x(*IMAGE), at={1: ints(0)}, reverse=1, exclusive=1),
    case("Softmax", x(*IMAGE), opset=11),
    case("Softmax", x(*IMAGE), axis=1),
    case("Softmax", x(2, 5), opset=9),
    *[case("Softmax", x(*IMAGE), opset=12, axis=axis) for axis in (-1, -2, -3, -4)],
    case("LogSoftmax", x(*IMAGE), opset=11, axis=-2),
    case("LogSoftmax", x(*IMAGE)),
    case("GlobalAveragePool", x(*IMAGE)),
    case("GlobalMaxPool", x(*IMAGE)),
    case("GlobalLpPool", x(*IMAGE)),
    case("GlobalLpPool", x(*IMAGE), p=3),
    case("LpPool", x(*IMAGE), kernel_shape=[2, 2], strides=[2, 2]),
    case("LpPool", x(*IMAGE), kernel_shape=[3, 3], pads=[1, 1, 1, 1], p=3),
    case("LpPool", x(*IMAGE), kernel_shape=[3, 3], pads=[1, 0, 0, 1], p=1),
    case("Hardmax", x(*IMAGE), axis=1),
    case("Hardmax", x(2, 5), opset=11),
    case("Hardmax", x(*IMAGE), opset=11, axis=2),
    case("TopK", x(*IMAGE), at={1: ints([3])}, axis=1, outputs=2),
    case("TopK", x(2, 9), at={1: ints([2])}, largest=0, outputs=2),
    case("MaxPool", x(*IMAGE), kernel_shape=[2, 2], strides=[2, 2]),
    case("MaxPool", x(*IMAGE), kernel_shape=[3, 3], pads=[1, 0, 0, 1]),
    case("MaxPool", x(*IMAGE), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1),
    case("MaxPool", x(*IMAGE), kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    case("MaxPool", x(2, 6, 9), kernel_shape=[2], dilations=[2]),
    case("AveragePool", x(*IMAGE), kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    case("AveragePool", x(*IMAGE), kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
    case("AveragePool", x(*IMAGE), kernel_shape=[3, 3], pads=[1, 0, 0, 1]),
    case("AveragePool", x(*IMAGE), kernel_shape=[3, 3], pads=[1, 0, 0, 1], count_include_pad=1),
    case("AveragePool", x(*IMAGE), kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
    *[
        case(kind, apart(*shape), opset=19, **more, **{k: v * rank for k, v in window.items()})
        for shape in ((2, 3, 9), IMAGE, (2, 2, 5, 6, 7))
        for rank in (len(shape) - 2,)
        for window in (
            {"kernel_shape": [2], "dilations": [2], "strides": [2]},
            {"kernel_shape": [3], "strides": [2], "pads": [1, 1]},
        )
        for kind, more in (
            ("MaxPool", {}),
            ("MaxPool", {"ceil_mode": 1}),
            ("AveragePool", {"ceil_mode": 1}),
            ("AveragePool", {"ceil_mode": 1, "count_include_pad": 1}),
            ("LpPool", {"ceil_mode": 1}),
        )
    ],
    *[
        case(kind, apart(*IMAGE), kernel_shape=[2, 3], opset=19, **window, **more)
        for window in (
            {"strides": [2, 2], "pads": [0, 0, 1, 1], "ceil_mode": 1},
            {"dilations": [2, 2], "pads": [1, 2, 0, 1]},
            {"dilations": [2, 1], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
            {"dilations": [1, 2], "strides": [2, 1], "auto_pad": "SAME_LOWER"},
        )
        for kind, more in (
            ("MaxPool", {}),
            ("AveragePool", {}),
            ("AveragePool", {"count_include_pad": 1}),
            ("LpPool", {"p": 3}),
        )
    ],
    case("MaxPool", apart(*IMAGE), kernel_shape=[3, 3], pads=[1] * 4, outputs=2),
    case("MaxPool", apart(2, 3, 9), kernel_shape=[3], pads=[1, 0], strides=[2], outputs=2),
    case(
        "MaxPool",
        apart(2, 2, 4, 5, 6),
        kernel_shape=[2, 3, 2],
        pads=[1, 0, 0, 0, 1, 1],
        ceil_mode=1,
        outputs=2,
    ),
    case(
        "MaxUnpool",
        x(1, 2, 2, 2),
        at={1: ints([[[[0, 3], [9, 15]], [[18, 20], [31, 25]]]])},
        kernel_shape=[2, 2],
        strides=[2, 2],
    ),
]

ALL = [
    *UNARY,
    *BINARY,
    *CONV,
    *NORM,
    *REDUCE,
    *LAYOUT,
    *RESIZE,
    *PLACES,
    *SPECTRUM,
    *CONSTANT,
    *FUSED,
]
