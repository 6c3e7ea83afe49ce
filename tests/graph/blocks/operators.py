"""The long tail: every other operator that the analysis knows, several in a row."""

from functools import cache

from onnx import TensorProto, defs

from tests.graph.blocks.builder import Builder, Map, block

UNARY = """
    Abs Acos Acosh Asin Asinh Atan Atanh Cast CastLike Ceil Celu Cos Cosh Dropout Elu Erf Exp
    FastGelu Floor Gelu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not
    QuickGelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish
    Tan Tanh ThresholdedRelu
""".split()  # noqa: SIM905
BINARY = """
    Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow Sub Sum
    Xor
""".split()  # noqa: SIM905
REDUCTIONS = """
    L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare
""".split()  # noqa: SIM905
MICROSOFT = ("FastGelu", "QuickGelu")
LOGICAL = ("And", "Or", "Xor", "Not")
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsInf", "IsNaN")


def some(b: Builder, kinds: list[str], count: int) -> list[str]:
    """Neighbours in the list that the opset has."""
    known = [kind for kind in kinds if kind in MICROSOFT or _since(kind) <= b.opset]
    first = b.chance(len(known))
    return (known + known)[first : first + count]


@cache
def _since(kind: str) -> int:
    return min(s.since_version for s in defs.get_all_schemas_with_history() if s.name == kind)


def middle(b: Builder, value: str) -> str:
    """Numbers between 0.1 and 0.4, where every function is defined and none jumps."""
    narrow = b.op("Mul", b.op("Sigmoid", value), b.constant(0.3, "f4"))
    return b.op("Add", narrow, b.constant(0.1, "f4"))


def added(b: Builder, x: str, kind: str, value: str) -> str:
    """A little of another value on top."""
    if kind in (*LOGICAL, *COMPARISONS):
        value = b.op("Cast", value, to=TensorProto.FLOAT)
    return b.op("Add", x, b.op("Mul", value, b.constant(0.1, "f4")))


@block()
def functions(b: Builder, x: Map) -> Map:
    """Functions of one number, two dozen of them."""
    return applied(b, x, some(b, UNARY, 24))


@block(since=24)
def newest_functions(b: Builder, x: Map) -> Map:
    """Those that came with opset 12 and later; few graphs are as new."""
    return applied(b, x, [kind for kind in UNARY if kind not in MICROSOFT and _since(kind) >= 12])


def applied(b: Builder, x: Map, kinds: list[str]) -> Map:
    """A little of each function on top of the map."""
    base, total = middle(b, x.name), x.name
    for kind in kinds:
        operands = [base]
        more = {"to": TensorProto.FLOAT} if kind == "Cast" else {}
        if kind in LOGICAL:
            operands = [b.op("Cast", base, to=TensorProto.BOOL)]
        elif kind == "Acosh":
            operands = [b.op("Add", base, b.constant(1.5, "f4"))]
        elif kind == "CastLike":
            operands.append(b.constant([2.0], "f4"))
        elif kind in MICROSOFT:
            more = {"domain": "com.microsoft"}
        total = added(b, total, kind, b.op(kind, *operands, **more))
    return x.now(total)


@block()
def operations(b: Builder, x: Map) -> Map:
    """Functions of two numbers; the second is far from the first, as a comparison jumps."""
    base, total = middle(b, x.name), x.name
    far = b.op("Add", middle(b, b.like(x).name), b.constant(0.5, "f4"))
    for kind in some(b, BINARY, 9):
        operands = [base, far]
        if kind in LOGICAL:
            operands = [b.op("Cast", value, to=TensorProto.BOOL) for value in operands]
        if kind == "Equal" and b.opset < 11:
            continue  # of whole numbers only
        more = {"fmod": 1} if kind == "Mod" else {}
        total = added(b, total, kind, b.op(kind, *operands, **more))
    return x.now(total)


@block()
def reductions(b: Builder, x: Map) -> Map:
    """Over places or over channels."""
    x = b.convolution(x)
    base, total = middle(b, x.name), x.name
    for kind in some(b, [f"Reduce{kind}" for kind in REDUCTIONS], 4):
        axes = b.choose([[2, 3], [1], [-2], [1, 2, 3]])
        by_input = b.opset >= (13 if kind == "ReduceSum" else 18)
        over = [b.constant(axes)] if by_input else []
        more = {} if by_input else {"axes": axes}
        total = added(b, total, kind, b.op(kind, base, *over, keepdims=1, **more))
    return x.now(total)


@block()
def pools(b: Builder, x: Map) -> Map:
    """Norms and maxima over windows."""
    base, total = middle(b, x.name), x.name
    kinds = ["GlobalMaxPool", "GlobalAveragePool"]
    if b.opset < 22:  # ONNX Runtime 1.31 has no newer one
        kinds.append("GlobalLpPool")
    for kind in some(b, kinds, 2):
        total = added(b, total, kind, b.op(kind, base))
    window = b.op("LpPool", base, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return x.now(added(b, total, "LpPool", window))


@block(since=11)
def along_places(b: Builder, x: Map) -> Map:
    """Operators that compare the elements of an axis.

    Of a map that is nowhere constant: there rounding would decide which element is the largest.
    """
    rough = b.op("Add", x.name, b.weight(x.height, x.width, size=1.0))
    base, total = middle(b, rough), x.name
    for kind in some(b, ["CumSum", "TopK", "ArgMax", "ArgMin", "LogSoftmax", "Hardmax"], 3):
        if kind == "CumSum":
            value = b.op(kind, base, b.constant(3))
        elif kind == "TopK":
            value = b.ops(kind, base, b.constant([1]), outputs=2, axis=2)[0]
        elif kind.startswith("Arg"):
            value = b.op("Cast", b.op(kind, base, axis=2, keepdims=1), to=TensorProto.FLOAT)
        else:
            value = b.op(kind, base, axis=3)
        total = added(b, total, kind, value)
    return x.now(total)


@block()
def response_norm(b: Builder, x: Map) -> Map:
    """Neighbouring channels compete, so all stay."""
    return x.now(b.op("LRN", b.convolution(x, out=x.channels).name, size=3))


@block(since=13)
def mean_variance_norm(b: Builder, x: Map) -> Map:
    """Of a map that is nowhere constant: there ONNX Runtime gives no number."""
    if x.height * x.width < 4:
        return b.convolution(x)
    rough = b.op("Add", x.name, b.weight(x.height, x.width, size=1.0))
    return x.now(b.op("MeanVarianceNormalization", rough, axes=[0, 2, 3]))


@block()
def length_norm(b: Builder, x: Map) -> Map:
    return x.now(b.op("LpNormalization", middle(b, x.name), axis=b.choose([1, 2])))


@block(since=23)
def root_mean_square_norm(b: Builder, x: Map) -> Map:
    x = b.convolution(x)
    last = b.transpose(x.name, 0, 2, 3, 1)
    normed = b.op("RMSNormalization", last, b.weight(x.channels, mean=1.0), epsilon=1e-3)
    return x.now(b.transpose(normed, 0, 3, 1, 2))


@block()
def fused(b: Builder, x: Map) -> Map:
    """What ONNX Runtime's optimiser makes of a convolution and matrix products."""
    out, places = b.integer(4, 8), x.height * x.width
    weights = [b.weight(out, x.channels, 1, 1), b.weight(out)]
    domain = {"domain": "com.microsoft"}
    y = b.op("FusedConv", x.name, *weights, activation="Relu", **domain)
    more = b.convolution(x, out=out).name
    y = b.op("FusedConv", y, b.weight(out, out, 1, 1), b.weight(out), more, **domain)
    rows = b.reshape(b.transpose(y, 0, 2, 3, 1), places, out)
    rows = b.op("FusedGemm", rows, b.weight(out, out), b.weight(out), activation="Tanh", **domain)
    rows = b.op("FusedMatMul", rows, b.weight(out, out), alpha=0.5, **domain)
    back = b.transpose(b.reshape(rows, 1, x.height, x.width, out), 0, 3, 1, 2)
    return Map(back, out, x.height, x.width)


@block()
def axes_of_one(b: Builder, x: Map) -> Map:
    """An axis more, and less."""
    wide = b.unsqueeze(x.name, 2)
    if b.opset >= 13:
        return x.now(b.op("Squeeze", wide, b.constant([2])))
    return x.now(b.op("Squeeze", wide, axes=[2]))


@block()
def scaled_noise(b: Builder, x: Map) -> Map:
    """Strengths that only noise has met before the map does."""
    source = b.input("noise", 1, 1, x.height, x.width)
    strength = b.op("Mul", b.weight(x.channels, 1, 1, size=0.2), source)
    return x.now(b.op("Add", b.op("Relu", strength), x.name))


@block()
def demodulated_convolution(b: Builder, x: Map) -> Map:
    """StyleGAN2, whole: weights scaled by a style and divided by their length."""
    x = b.convolution(x)
    out, style = b.integer(4, 8), b.input("style", 1, 5)
    scale = b.op("Gemm", style, b.weight(5, x.channels), b.weight(x.channels, mean=1.0))
    made = b.op("Mul", b.weight(1, out, x.channels, 3, 3), b.reshape(scale, 1, 1, -1, 1, 1))
    squares = b.op("Mul", made, made)
    axes = [2, 3, 4]
    over, more = ([b.constant(axes)], {}) if b.opset >= 13 else ([], {"axes": axes})
    length = b.op("Sqrt", b.op("ReduceSum", squares, *over, keepdims=1, **more))
    length = b.op("Add", length, b.constant(1e-3, "f4"))
    if b.flip():
        weight = b.reshape(b.op("Div", made, length), out, x.channels, 3, 3)
        return Map(b.op("Conv", x.name, weight, pads=[1] * 4), out, x.height, x.width)
    plain = b.op("Conv", x.name, b.reshape(made, out, -1, 3, 3), pads=[1] * 4)
    return Map(b.op("Div", plain, b.reshape(length, 1, out, 1, 1)), out, x.height, x.width)
