"""The table of operators: what several rooms need to know of each.

To add an operator:

1. one entry in `_ENTRIES` below;
2. its channel rule in `decig.graph.rules` (an operator of the kinds ACTIVATION, FUNCTION,
   ARITHMETIC, POOL or REDUCTION has one already: the rule of its kind);
3. if it has attributes, what becomes of each, in `decig.graph.meanings`;
4. if it is to be trained, its implementation in `decig.training.ops`.

Everything else (cost, traffic, isolated timing, precision, rewrites, repair, the inspection) reads
this table. What only one rule needs to know stays with that rule.

The facts about runtimes are those of ONNX Runtime 1.31 on a CPU; they decide which nodes are timed
as one and which rewrites are tried, never whether a result is right.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache

import onnx

from decig.graph import macs
from decig.graph.macs import Count
from decig.graph.registration import table_of

_DOMAINS = ("", "ai.onnx", "com.microsoft")


class Kind(Enum):
    """What an operator does, as far as one rule serves all operators that do it."""

    CONVOLUTION = auto()
    """Slides weights over positions; mixes channels."""
    PRODUCT = auto()
    """Multiplies matrices."""
    NORM = auto()
    """Normalises by statistics of its input."""
    ACTIVATION = auto()
    """A nonlinear function of each element by itself, as layers have it behind them."""
    FUNCTION = auto()
    """Any other function of each element by itself."""
    ARITHMETIC = auto()
    """Combines several operands element by element, with broadcasting."""
    POOL = auto()
    """Reduces each channel over windows, or over all positions."""
    REDUCTION = auto()
    """Reduces whole axes."""
    SCAN = auto()
    """Compares, ranks or adds up the elements along one axis."""
    RESIZE = auto()
    """Samples a picture on another grid."""
    VIEW = auto()
    """Passes its input's numbers on in their order; runtimes need not touch them."""
    PICK = auto()
    """Passes on a part of its input and reads no more than that."""
    MOVE = auto()
    """Moves numbers to other places, or repeats them."""
    SIZE = auto()
    """Reads the shape of its input alone."""
    CONSTANT = auto()
    """Makes numbers out of nothing but constants."""
    RANDOM = auto()
    """Draws other numbers in every run."""
    SEQUENCE = auto()
    """Takes or gives sequences or optionals, which are no tensors."""
    QUANTISED = auto()
    """Works on 8-bit integers with scales, or converts from or to them."""
    UNKNOWN = auto()
    """Not in the table."""


class Int8(Enum):
    """How an operator takes part in a graph of 8-bit integers."""

    NO = auto()
    """It stays in float32."""
    LAYER = auto()
    """It has 8-bit kernels that are faster."""
    BETWEEN = auto()
    """It only moves or compares numbers: in 8 bits if all its neighbours are."""


@dataclass(frozen=True)
class Operator:
    """What is known of one operator.

    Attributes:
        name: of the ONNX standard, or of ONNX Runtime (domain com.microsoft).
        kind: what it does.
        title: what people call it in tables; "" for its name.
        plain: the operator of the standard that this one, fused by ONNX Runtime's optimiser,
            computes before its activation; "" for all others.
        operands: how many of its inputs are those of `plain`.
        count: counts its multiply-accumulates; None if it has none.
        transposed: whether it is a convolution that spreads every input over several outputs: its
            weights are then [inputs, outputs / groups, *kernel] instead of
            [outputs, inputs / groups, *kernel].
        absorbs_affine: whether a factor and a shift per channel behind it can become part of its
            constants at the slots 1 (weights or scale) and 2 (bias or shift).
        fuses: operators that runtimes compute inside its kernel when they follow it.
        follows: whether providers compute it as part of the layer in front, or pass it on without
            a kernel worth counting.
        in_float32: whether half precision spoils it: sums over a whole picture overflow, or lose
            their small numbers.
        int8: its part in a graph of 8-bit integers.
        keeps_shape: whether ONNX infers no shape for it, and its output has its first input's.
    """

    name: str
    kind: Kind
    title: str = ""
    plain: str = ""
    operands: int = 0
    count: Count | None = None
    transposed: bool = False
    absorbs_affine: bool = False
    fuses: frozenset[str] = frozenset()
    follows: bool = False
    in_float32: bool = False
    int8: Int8 = Int8.NO
    keeps_shape: bool = False

    @property
    def is_layer(self) -> bool:
        """Whether it multiplies by weights: a convolution or a matrix product."""
        return self.kind in (Kind.CONVOLUTION, Kind.PRODUCT)


def find(node: onnx.NodeProto) -> Operator:
    """Return the entry of a node's operator; one of kind UNKNOWN for an operator without any."""
    entry = _table().get(node.op_type) if in_known_domain(node) else None
    return entry or Operator(node.op_type, Kind.UNKNOWN)


def in_known_domain(node: onnx.NodeProto) -> bool:
    """Whether a node's operator is of the ONNX standard or of ONNX Runtime (com.microsoft)."""
    return node.domain in _DOMAINS


def names(*kinds: Kind) -> list[str]:
    """Names of all operators of these kinds, or of all operators if none is given."""
    return [entry.name for entry in every() if not kinds or entry.kind in kinds]


def every() -> Iterator[Operator]:
    """Yield all entries."""
    return iter(_table().values())


@cache
def _table() -> dict[str, Operator]:
    return table_of((entry.name, entry) for entry in _ENTRIES)


def _all(
    kind: Kind,
    listed: str,
    *,
    follows: bool = False,
    in_float32: bool = False,
    keeps_shape: bool = False,
) -> tuple[Operator, ...]:
    """Entries that differ in name alone."""
    like = Operator("", kind, follows=follows, in_float32=in_float32, keeps_shape=keeps_shape)
    return tuple(replace(like, name=name) for name in listed.split())


_FUSED = frozenset(("Clip", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"))

_ENTRIES: tuple[Operator, ...] = (
    Operator(
        "Conv",
        Kind.CONVOLUTION,
        count=macs.per_output,
        absorbs_affine=True,
        fuses=_FUSED,
        int8=Int8.LAYER,
    ),
    Operator("FusedConv", Kind.CONVOLUTION, plain="Conv", operands=3, count=macs.per_output),
    Operator(
        "ConvTranspose",
        Kind.CONVOLUTION,
        count=macs.per_input,
        transposed=True,
        absorbs_affine=True,
        fuses=_FUSED,
    ),
    Operator(
        "Gemm",
        Kind.PRODUCT,
        title="linear",
        count=macs.per_product,
        absorbs_affine=True,
        fuses=_FUSED,
        int8=Int8.LAYER,
    ),
    Operator("FusedGemm", Kind.PRODUCT, plain="Gemm", operands=3, count=macs.per_product),
    Operator("MatMul", Kind.PRODUCT, title="linear", count=macs.per_product, int8=Int8.LAYER),
    Operator("FusedMatMul", Kind.PRODUCT, plain="MatMul", operands=2, count=macs.per_product),
    Operator("Einsum", Kind.PRODUCT, count=macs.per_index),
    # Norms. Behind a layer, BatchNormalization is arithmetic with constants.
    Operator(
        "BatchNormalization",
        Kind.NORM,
        title="BatchNorm",
        absorbs_affine=True,
        fuses=_FUSED,
        follows=True,
        in_float32=True,
    ),
    Operator(
        "InstanceNormalization",
        Kind.NORM,
        title="InstanceNorm",
        absorbs_affine=True,
        in_float32=True,
    ),
    Operator("GroupNormalization", Kind.NORM, title="GroupNorm", in_float32=True, keeps_shape=True),
    Operator("LayerNormalization", Kind.NORM, title="LayerNorm", in_float32=True),
    Operator("RMSNormalization", Kind.NORM, title="RMSNorm", in_float32=True),
    Operator("MeanVarianceNormalization", Kind.NORM, in_float32=True, keeps_shape=True),
    Operator("LpNormalization", Kind.NORM, in_float32=True),
    Operator("LRN", Kind.NORM),
    # Element by element.
    *_all(
        Kind.ACTIVATION,
        "Clip Elu HardSigmoid HardSwish LeakyRelu Relu Sigmoid Softplus Tanh",
        follows=True,
    ),
    *_all(Kind.ACTIVATION, "Celu Mish Selu Shrink Softsign Swish ThresholdedRelu"),
    *_all(Kind.ACTIVATION, "Gelu QuickGelu", keeps_shape=True),
    *_all(
        Kind.FUNCTION,
        """
        Abs Acos Acosh Asin Asinh Atan Atanh Cast CastLike Ceil Cos Cosh Erf Exp Floor IsInf IsNaN
        Log Neg Not Reciprocal Round Sign Sin Sinh Sqrt Tan
        """,
    ),
    Operator("Add", Kind.ARITHMETIC, title="bias"),
    Operator("Sub", Kind.ARITHMETIC, title="bias"),
    Operator("Mul", Kind.ARITHMETIC, title="scale"),
    Operator("Div", Kind.ARITHMETIC, title="scale"),
    Operator("PRelu", Kind.ARITHMETIC, follows=True),
    Operator("FastGelu", Kind.ARITHMETIC, keeps_shape=True),  # it may have a bias
    *_all(
        Kind.ARITHMETIC,
        """
        And Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Or Pow Sum Where Xor
        """,
    ),
    # Over windows and axes.
    Operator("MaxPool", Kind.POOL, int8=Int8.BETWEEN),
    Operator("GlobalAveragePool", Kind.POOL, in_float32=True),
    *_all(Kind.POOL, "AveragePool GlobalLpPool GlobalMaxPool LpPool"),
    *_all(
        Kind.REDUCTION,
        "ReduceL1 ReduceL2 ReduceLogSumExp ReduceMean ReduceProd ReduceSum ReduceSumSquare",
        in_float32=True,
    ),
    *_all(Kind.REDUCTION, "ReduceLogSum ReduceMax ReduceMin"),
    *_all(Kind.SCAN, "LogSoftmax Softmax", in_float32=True),
    *_all(Kind.SCAN, "ArgMax ArgMin CumSum DFT Hardmax TopK"),
    # Moves of data.
    Operator("Resize", Kind.RESIZE, int8=Int8.BETWEEN),
    Operator("Upsample", Kind.RESIZE),
    *_all(Kind.VIEW, "Reshape Squeeze Unsqueeze", follows=True),
    *_all(Kind.VIEW, "Dropout Flatten Identity"),
    Operator("Slice", Kind.PICK, follows=True),
    *_all(Kind.PICK, "Gather GatherElements GatherND Split"),
    *_all(Kind.MOVE, "DepthToSpace Transpose", follows=True),
    Operator("Concat", Kind.MOVE, int8=Int8.BETWEEN),
    *_all(
        Kind.MOVE, "Col2Im Expand MaxUnpool Pad Scatter ScatterElements ScatterND SpaceToDepth Tile"
    ),
    # No pictures.
    *_all(Kind.SIZE, "Shape Size"),
    *_all(Kind.CONSTANT, "Constant ConstantOfShape Range"),
    *_all(
        Kind.RANDOM,
        """
        Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike
        """,
    ),
    *_all(
        Kind.SEQUENCE,
        """
        ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt
        SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap
        SplitToSequence
        """,
    ),
    *_all(
        Kind.QUANTISED,
        """
        ConvInteger DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeLinear
        DynamicQuantizeMatMul MatMulInteger MatMulIntegerToFloat QLinearAdd QLinearAveragePool
        QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMatMul
        QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear
        """,
    ),
)
