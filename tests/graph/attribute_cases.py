"""A small graph for every attribute of every operator: one value of it, and another.

`a` is a picture [1, 4, 6, 6] whose channels can be cut, `b` is what the operator under test makes
of it; `made` says how many channels that has.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from tests.graph.tiny import parse


@dataclass(frozen=True)
class Case:
    """One attribute.

    Attributes:
        body: text of the graph between `a` and `b`; "{}" stands for the settings of the operator.
        value: the tested setting.
        other: what must give something else, "" for the default; None where any other value breaks
            the graph.
        more: settings that stay.
        made: channels of `b`.
        frozen: start of the reason for which no channel of `a` can be cut; "" if they can.
        opset: of the graph.
        constants: as in `graph.tiny.parse`.
    """

    body: str
    value: str
    other: str | None = ""
    more: str = ""
    made: int = 4
    frozen: str = ""
    opset: int = 18
    constants: dict[str, Any] = field(default_factory=dict)

    def graph(self, setting: str) -> onnx.ModelProto:
        """Return the graph with a setting."""
        settings = ", ".join(filter(None, (self.more, setting)))
        body = self.body.replace("{}", f"<{settings}>" if settings else "")
        text = f"[c1] a = Conv(x, w1)\n{body}\n[c2] y = Conv(b, w2)"
        weights = {"w1": (4, 3, 1, 1), "w2": (3, self.made, 1, 1), **self.constants}
        return parse(text, inputs="float[1,3,6,6] x", opset=self.opset, **weights)


def op(
    kind: str, value: str, other: str | None = "", inputs: str = "a", more: str = "", **rest: Any
) -> Case:
    """Return the case of an operator that alone makes `b`."""
    return Case(f"[the_node] b = {kind}{{}}({inputs})", value, other, more, **rest)


def _window(kind: str, inputs: str = "a", more: str = "", **rest: Any) -> dict[str, Case]:
    """Cases of what convolutions and pools have in common."""
    kernel = "kernel_shape=[3,3]"
    fixed = f"{kernel}, {more}" if more else kernel
    return {
        "auto_pad": op(kind, 'auto_pad="SAME_UPPER"', inputs=inputs, more=fixed, **rest),
        "dilations": op(kind, "dilations=[2,1]", inputs=inputs, more=fixed, **rest),
        "kernel_shape": op(kind, kernel, None, inputs=inputs, more=more, **rest),
        "pads": op(kind, "pads=[1,0,0,1]", inputs=inputs, more=fixed, **rest),
        "strides": op(kind, "strides=[2,1]", inputs=inputs, more=fixed, **rest),
    }


_KERNEL = {"w": (5, 4, 3, 3)}
_GROUPED = {"w": (8, 2, 3, 3)}
_TURNED = {"w": (4, 5, 3, 3)}


def _convolution(kind: str, constants: dict[str, Any]) -> dict[str, Case]:
    return _window(kind, "a, w", made=5, constants=constants)


_FUSED = "com.microsoft.FusedConv"
_FUSED_GEMM = "com.microsoft.FusedGemm"
_FUSED_MATMUL = "com.microsoft.FusedMatMul"


def _row(node: str, value: str, other: str | None = "", more: str = "") -> Case:
    """A matrix product of the channels of every position: rows [36, 4] to rows [36, 5]."""
    body = f"""
        p = Transpose<perm=[0,2,3,1]>(a)
        r = Reshape(p, flat)
        [the_node] s = {node}
        t = Reshape(s, high)
        b = Transpose<perm=[0,3,1,2]>(t)
    """
    shapes = {"flat": [36, 4], "high": [1, 6, 6, 5], "k": (4, 5), "kt": (5, 4), "c": (5,)}
    return Case(body, value, other, more, made=5, constants=shapes)


def _cast(kind: str, value: str, other: str | None, inputs: str = "a", **rest: Any) -> Case:
    """An operator whose result is no float32."""
    return Case(f"[the_node] i = {kind}{{}}({inputs})\nb = Cast<to=1>(i)", value, other, **rest)


def _extreme(kind: str) -> dict[str, Case]:
    equal = {"zero": np.zeros(1, np.float32), "two": [2]}
    node = f"[the_node] i = {kind}{{}}"
    return {
        "axis": Case(f"{node}(a)\nb = Cast<to=1>(i)", "axis=2", None),
        "keepdims": Case(
            f"{node}(a)\nf = Cast<to=1>(i)\nb = Unsqueeze(f, two)",
            "keepdims=0",
            None,
            "axis=2",
            constants=equal,
        ),
        "select_last_index": Case(
            f"z = Mul(a, zero)\n{node}(z)\nb = Cast<to=1>(i)",
            "select_last_index=1",
            more="axis=2",
            constants=equal,
        ),
    }


def _reduction(kind: str) -> dict[str, Case]:
    """Of positive numbers, so that logarithms are numbers."""
    node = f"p = Sigmoid(a)\n[the_node] r = {kind}{{}}(p)"
    return {
        "axes": Case(f"{node}\nb = Mul(p, r)", "axes=[2]", "axes=[3]", opset=11),
        "keepdims": Case(
            f"{node}\nb = Unsqueeze<axes=[2]>(r)", "keepdims=0", None, "axes=[2]", opset=11
        ),
        "noop_with_empty_axes": Case(f"{node}\nb = Mul(p, r)", "noop_with_empty_axes=1"),
    }


def _softmax(kind: str) -> dict[str, Case]:
    return {"axis": op(kind, "axis=2", "axis=3")}


def _norm(kind: str, inputs: str, more: str = "", **rest: Any) -> Case:
    return op(kind, "epsilon=0.5", inputs=inputs, more=more, **rest)


_TWO = {"two": [2]}
_INFINITE = "[the_node] i = IsInf{}(z)\nb = Cast<to=1>(i)"
_SHUFFLE = "[c3] e = Conv(a, w3)\n[the_node] b = DepthToSpace{}(e)"
_TWELVE = {"w3": (12, 4, 1, 1)}
_FOURIER = "u = Unsqueeze(a, last)\n[the_node] g = DFT{}(u)\nb = ReduceSum<keepdims=0>(g, last)"
_LAST = {"last": [4]}


def _folded(value: str, side: int, other: str | None = None) -> Case:
    """Case of Col2Im: 36 windows of 2x2 of two pictures of this size."""
    constants = {
        "eight": np.ones((8, 4, 1, 1), np.float32),
        "columns": np.array([1, 8, 36]),
        "size": np.array([side, side]),
        "block": np.array([2, 2]),
    }
    body = "h = Conv(a, eight)\nr = Reshape(h, columns)\n[the_node] b = Col2Im{}(r, size, block)"
    return Case(body, value, other, made=2, constants=constants)


_SCATTER = "p = Gather<axis=3>(a, some)\nu = Neg(p)\n[the_node] b = {}{{}}(a, places, u)"
_ROWS = {"rows": np.random.default_rng(0).integers(0, 6, (1, 4, 6, 6))}
_COLUMNS = {"some": [1, 3], "places": np.full((1, 4, 6, 2), [1, 3])}
_VECTORS = {"s": (4,), "t": (4,)}
_STORED = {**_VECTORS, "m": (4,), "v": np.full(4, 2.0, np.float32)}
_ROI = {"roi": np.float32([0, 0, 0, 0, 1, 1, 0.5, 1]), "sizes": [1, 4, 9, 6]}
_SCALES = {"scales": np.float32([1, 1, 1.5, 0.5])}


def _resize(value: str, other: str | None = "", more: str = "", **rest: Any) -> Case:
    return op("Resize", value, other, 'a, "", scales', more, **{"constants": _SCALES, **rest})


BY_OPERATOR: dict[str, dict[str, Case]] = {
    **{kind: _extreme(kind) for kind in ("ArgMax", "ArgMin")},
    "AveragePool": {
        **_window("AveragePool", opset=19),
        "ceil_mode": op("AveragePool", "ceil_mode=1", more="kernel_shape=[3,3], strides=[2,2]"),
        "count_include_pad": op(
            "AveragePool", "count_include_pad=1", more="kernel_shape=[3,3], pads=[1,1,1,1]"
        ),
    },
    "BatchNormalization": {
        "epsilon": _norm("BatchNormalization", "a, s, t, m, v", constants=_STORED),
        "training_mode": Case(
            "[the_node] b, mm, vv = BatchNormalization{}(a, s, t, m, v)",
            "training_mode=1",
            None,
            constants=_STORED,
        ),
        "spatial": op(
            "BatchNormalization",
            "spatial=0",
            None,
            "a, s, t, m, v",
            opset=8,
            constants={**dict.fromkeys("stm", (4, 6, 6)), "v": np.full((4, 6, 6), 2.0, np.float32)},
        ),
    },
    "Cast": {"to": _cast("Cast", "to=6", "to=9")},
    "Celu": {"alpha": op("Celu", "alpha=0.5")},
    "Clip": {
        "max": op("Clip", "max=0.5", more="min=-1.0", opset=9),
        "min": op("Clip", "min=-0.5", more="max=1.0", opset=9),
    },
    "Concat": {"axis": op("Concat", "axis=2", "axis=3", "a, a")},
    "Constant": {
        name: Case(f"[the_node] k = Constant{{}}()\n{use}", value, None)
        for name, value, use in (
            ("value", "value=float[1] {2.0}", "b = Mul(a, k)"),
            ("value_float", "value_float=2.0", "b = Mul(a, k)"),
            ("value_floats", "value_floats=[2.0]", "b = Mul(a, k)"),
            ("value_int", "value_int=2", "f = Cast<to=1>(k)\nb = Mul(a, f)"),
            ("value_ints", "value_ints=[2]", "f = Cast<to=1>(k)\nb = Mul(a, f)"),
        )
    },
    "ConstantOfShape": {
        "value": Case(
            "[the_node] k = ConstantOfShape{}(size)\nb = Mul(a, k)",
            "value=float[1] {2.0}",
            "value=float[1] {3.0}",
            constants={"size": [1, 1, 6, 6]},
        )
    },
    "Conv": {
        **_convolution("Conv", _KERNEL),
        "group": op("Conv", "group=2", None, "a, w", made=8, constants=_GROUPED),
    },
    "ConvTranspose": {
        **_convolution("ConvTranspose", _TURNED),
        "group": op("ConvTranspose", "group=2", None, "a, w", made=10, constants=_TURNED),
        "output_padding": op(
            *("ConvTranspose", "output_padding=[1,0]", "", "a, w", "strides=[2,2]"),
            made=5,
            constants=_TURNED,
        ),
        "output_shape": op(
            *("ConvTranspose", "output_shape=[12,11]", "", "a, w", "strides=[2,2]"),
            made=5,
            constants=_TURNED,
        ),
    },
    "CumSum": {
        name: op("CumSum", f"{name}=1", inputs="a, axis", constants={"axis": np.int64(2)})
        for name in ("exclusive", "reverse")
    },
    "DFT": {
        "axis": Case(_FOURIER, "axis=2", "axis=3", constants=_LAST),
        "inverse": Case(_FOURIER, "inverse=1", "", "axis=2", constants=_LAST),
        "onesided": Case(_FOURIER, "onesided=1", "", "axis=2", constants=_LAST),
    },
    "DepthToSpace": {
        "blocksize": Case(_SHUFFLE, "blocksize=2", None, made=3, constants=_TWELVE),
        "mode": Case(_SHUFFLE, 'mode="CRD"', "", "blocksize=2", made=3, constants=_TWELVE),
    },
    "Einsum": {
        "equation": op(
            "Einsum",
            'equation="nchw,wv->nchv"',
            'equation="nchw,vw->nchv"',
            "a, k",
            constants={"k": (6, 6)},
        )
    },
    "Elu": {"alpha": op("Elu", "alpha=0.5")},
    "Flatten": {
        "axis": Case(
            "[the_node] f = Flatten{}(a)\nb = Reshape(f, back)",
            "axis=2",
            None,
            constants={"back": [1, 4, 6, 6]},
        )
    },
    "FusedConv": {
        **_convolution(_FUSED, _KERNEL),
        "activation": op(_FUSED, 'activation="Relu"', "", "a, w", made=5, constants=_KERNEL),
        "activation_params": op(
            *(_FUSED, "activation_params=[0.5]", "activation_params=[0.1]", "a, w"),
            'activation="LeakyRelu"',
            made=5,
            constants=_KERNEL,
        ),
        "group": op(_FUSED, "group=2", None, "a, w", made=8, constants=_GROUPED),
    },
    "FusedGemm": {
        "activation": _row(f"{_FUSED_GEMM}{{}}(r, k)", 'activation="Relu"', 'activation="Tanh"'),
        "activation_alpha": _row(
            *(f"{_FUSED_GEMM}{{}}(r, k)", "activation_alpha=0.5", "activation_alpha=0.1"),
            more='activation="LeakyRelu"',
        ),
        **{
            name: _row(f"{_FUSED_GEMM}{{}}({inputs})", value, other, 'activation="Relu"')
            for name, value, other, inputs in (
                ("activation_beta", "activation_beta=0.5", None, "r, k"),
                ("activation_gamma", "activation_gamma=0.5", None, "r, k"),
                ("alpha", "alpha=0.5", "", "r, k, c"),
                ("beta", "beta=0.5", "", "r, k, c"),
                ("transB", "transB=1", None, "r, kt"),
            )
        },
    },
    "FusedMatMul": {
        "alpha": _row(f"{_FUSED_MATMUL}{{}}(r, k)", "alpha=0.5"),
        **{
            name: op(
                *(_FUSED_MATMUL, f"{name}=1", None, "a, a"),
                frozen="FusedMatMul the_node transposes an operand",
            )
            for name in ("transA", "transB")
        },
    },
    "Gather": {"axis": op("Gather", "axis=2", "axis=3", "a, some", constants={"some": [0, 2, 2]})},
    "Gelu": {"approximate": op("Gelu", 'approximate="tanh"', opset=20)},
    "Gemm": {
        "alpha": _row("Gemm{}(r, k, c)", "alpha=0.5"),
        "beta": _row("Gemm{}(r, k, c)", "beta=0.5"),
        "transB": _row("Gemm{}(r, kt)", "transB=1", None),
    },
    "GlobalLpPool": {"p": op("GlobalLpPool", "p=1")},
    "GroupNormalization": {
        "epsilon": _norm(
            *("GroupNormalization", "a, s, t", "num_groups=2"), opset=21, constants=_VECTORS
        ),
        "num_groups": op(
            *("GroupNormalization", "num_groups=2", "num_groups=4", "a, s, t"),
            opset=21,
            constants=_VECTORS,
        ),
    },
    "HardSigmoid": {
        "alpha": op("HardSigmoid", "alpha=0.5"),
        "beta": op("HardSigmoid", "beta=0.25"),
    },
    "Hardmax": _softmax("Hardmax"),
    "InstanceNormalization": {
        "epsilon": _norm("InstanceNormalization", "a, s, t", constants=_VECTORS)
    },
    "IsInf": {
        f"detect_{sign}": Case(
            f"n = Relu(a)\nl = Log(n)\nz = {turn}(l)\n{_INFINITE}", f"detect_{sign}=0"
        )
        for sign, turn in (("negative", "Identity"), ("positive", "Neg"))
    },
    "LRN": {
        name: op("LRN", value, other, more=more, frozen="LRN the_node compares channels")
        for name, value, other, more in (
            ("alpha", "alpha=0.5", "", "size=3"),
            ("beta", "beta=0.5", "", "size=3, alpha=0.5"),
            ("bias", "bias=2.0", "", "size=3"),
            ("size", "size=3", None, "alpha=0.5"),
        )
    },
    "LayerNormalization": {
        "axis": op(*("LayerNormalization", "axis=2", None, "a, s"), constants={"s": (6, 6)}),
        "epsilon": _norm("LayerNormalization", "a, s", constants={"s": (6,)}),
    },
    "LeakyRelu": {"alpha": op("LeakyRelu", "alpha=0.5")},
    "LogSoftmax": _softmax("LogSoftmax"),
    "LpNormalization": {
        "axis": op("LpNormalization", "axis=2", "axis=3"),
        "p": op("LpNormalization", "p=1"),
    },
    "LpPool": {
        **_window("LpPool"),
        "ceil_mode": op("LpPool", "ceil_mode=1", more="kernel_shape=[3,3], strides=[2,2]"),
        "p": op("LpPool", "p=1", more="kernel_shape=[3,3]"),
    },
    "MaxPool": {
        **_window("MaxPool"),
        "ceil_mode": op("MaxPool", "ceil_mode=1", more="kernel_shape=[3,3], strides=[2,2]"),
    },
    "MeanVarianceNormalization": {"axes": op("MeanVarianceNormalization", "axes=[2]", "axes=[3]")},
    "Mod": {"fmod": op("Mod", "fmod=1", None, "a, k", constants={"k": np.float32([0.7])})},
    "Pad": {
        "mode": op("Pad", 'mode="reflect"', "", "a, two", constants={"two": [0, 0, 2, 1] * 2}),
        "pads": op("Pad", "pads=[0,0,2,1,0,0,0,1]", None, opset=10),
        "value": op("Pad", "value=2.0", more="pads=[0,0,2,1,0,0,0,1]", opset=10),
    },
    "QuickGelu": {"alpha": op("com.microsoft.QuickGelu", "alpha=0.5")},
    "RMSNormalization": {
        "axis": op("RMSNormalization", "axis=2", None, "a, s", opset=23, constants={"s": (6, 6)}),
        "epsilon": _norm("RMSNormalization", "a, s", opset=23, constants={"s": (6,)}),
    },
    **{
        f"Reduce{what}": _reduction(f"Reduce{what}")
        for what in (
            *("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum"),
            "SumSquare",
        )
    },
    "Reshape": {
        "allowzero": op("Reshape", "allowzero=1", None, "a, size", constants={"size": [1, 4, 4, 9]})
    },
    "Resize": {
        "antialias": _resize("antialias=1", more='mode="linear"'),
        "axes": op(
            *("Resize", "axes=[2,3]", "axes=[3,2]", 'a, "", scales'),
            constants={"scales": np.float32([1.5, 0.5])},
        ),
        "coordinate_transformation_mode": _resize(
            'coordinate_transformation_mode="asymmetric"', more='mode="linear"'
        ),
        "cubic_coeff_a": _resize("cubic_coeff_a=-0.5", more='mode="cubic"'),
        "exclude_outside": _resize("exclude_outside=1", more='mode="cubic"'),
        "extrapolation_value": op(
            *("Resize", "extrapolation_value=9.0", "", 'a, roi, "", sizes'),
            'mode="linear", coordinate_transformation_mode="tf_crop_and_resize"',
            constants={**_ROI, "roi": np.float32([0, 0, -0.5, 0, 1, 1, 0.5, 1])},
        ),
        "keep_aspect_ratio_policy": op(
            *("Resize", 'keep_aspect_ratio_policy="not_larger"', "", 'a, "", "", sizes'),
            "axes=[2,3]",
            constants={"sizes": [12, 18]},
        ),
        "mode": _resize('mode="linear"'),
        "nearest_mode": _resize('nearest_mode="ceil"'),
    },
    "Scatter": {
        "axis": Case(_SCATTER.format("Scatter"), "axis=3", "axis=2", opset=10, constants=_COLUMNS)
    },
    "ScatterElements": {
        "axis": Case(_SCATTER.format("ScatterElements"), "axis=3", "axis=2", constants=_COLUMNS),
        "reduction": Case(
            _SCATTER.format("ScatterElements"), 'reduction="add"', "", "axis=3", constants=_COLUMNS
        ),
    },
    "Col2Im": {
        "dilations": _folded("dilations=[2,2]", 8),
        "pads": _folded("pads=[1,0,0,1]", 6, "pads=[0,1,1,0]"),
        "strides": _folded("strides=[2,2]", 12),
    },
    "GatherElements": {
        "axis": op("GatherElements", "axis=2", "axis=3", "a, rows", constants=_ROWS),
    },
    "GatherND": {
        "batch_dims": Case(
            "t = Transpose<perm=[2,3,0,1]>(a)\n[the_node] g = GatherND{}(t, i)\n"
            "b = Transpose<perm=[2,3,0,1]>(g)",
            "batch_dims=1",
            None,
            constants={"i": np.random.default_rng(0).integers(0, 6, (6, 6, 1))},
        )
    },
    "MaxUnpool": {
        name: Case(
            "p, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)\n"
            "[the_node] u = MaxUnpool{}(p, i)\nb = Sigmoid(u)",
            value,
            None,
            more,
        )
        for name, value, more in (
            ("kernel_shape", "kernel_shape=[2,2]", "strides=[2,2]"),
            ("strides", "strides=[2,2]", "kernel_shape=[2,2]"),
            ("pads", "pads=[0,0,0,0]", "kernel_shape=[2,2], strides=[2,2]"),
        )
    },
    "ScatterND": {
        "reduction": Case(
            "u = Sigmoid(a)\n[the_node] b = ScatterND{}(a, first, u)",
            'reduction="add"',
            constants={"first": np.array([[0]])},
        )
    },
    "Selu": {"alpha": op("Selu", "alpha=0.5"), "gamma": op("Selu", "gamma=0.5")},
    "Shape": {
        name: Case(
            "[the_node] s = Shape{}(a)\nf = Cast<to=1>(s)\nm = ReduceSum(f, none)\nb = Mul(a, m)",
            value,
            other,
            constants={"none": np.zeros(0, np.int64)},
        )
        for name, value, other in (
            ("end", "start=2, end=3", "start=2, end=4"),
            ("start", "start=3", "start=2"),
        )
    },
    "Shrink": {"bias": op("Shrink", "bias=0.25"), "lambd": op("Shrink", "lambd=0.25")},
    "Slice": {
        "axes": op("Slice", "axes=[2]", "axes=[3]", more="starts=[1], ends=[3]", opset=9),
        "ends": op("Slice", "ends=[4]", "ends=[3]", more="starts=[1], axes=[2]", opset=9),
        "starts": op("Slice", "starts=[1]", "starts=[2]", more="ends=[4], axes=[2]", opset=9),
    },
    "Softmax": _softmax("Softmax"),
    "SpaceToDepth": {"blocksize": op("SpaceToDepth", "blocksize=2", None, made=16)},
    "Split": {
        "axis": Case(
            "[the_node] p, q = Split{}(a)\nb = Mul(p, q)", "axis=2", "axis=3", "num_outputs=2"
        ),
        "num_outputs": Case(
            "[the_node] p, q = Split{}(a)\nb = Mul(p, q)", "num_outputs=2", None, "axis=2"
        ),
        "split": Case(
            "[the_node] p, q = Split{}(a)\nb = Concat<axis=1>(q, p)",
            *("split=[2,2]", "split=[1,3]", "axis=1"),
            opset=11,
        ),
    },
    "Squeeze": {
        "axes": Case(
            "[the_node] p = Squeeze{}(a)\nb = Unsqueeze<axes=[0]>(p)", "axes=[0]", None, opset=11
        )
    },
    "Swish": {"alpha": op("Swish", "alpha=0.5", opset=24)},
    "ThresholdedRelu": {"alpha": op("ThresholdedRelu", "alpha=0.5")},
    "TopK": {
        "axis": Case("[the_node] b, i = TopK{}(a, two)", "axis=2", "axis=3", constants=_TWO),
        "k": Case("[the_node] b, i = TopK{}(a)", "k=2", "k=3", "axis=2", opset=9),
        "largest": Case(
            "[the_node] b, i = TopK{}(a, two)", "largest=0", "", "axis=2", constants=_TWO
        ),
    },
    "Transpose": {"perm": op("Transpose", "perm=[0,1,3,2]", "perm=[0,1,2,3]")},
    "Unsqueeze": {
        "axes": Case(
            "[the_node] p = Unsqueeze{}(a)\nb = Squeeze<axes=[2]>(p)", "axes=[2]", None, opset=11
        )
    },
    "Upsample": {
        "mode": op("Upsample", 'mode="linear"', more="scales=[1.0,1.0,2.0,2.0]", opset=8),
        "scales": op("Upsample", "scales=[1.0,1.0,2.0,2.0]", None, opset=8),
    },
}
"""Cases by operator and attribute."""
