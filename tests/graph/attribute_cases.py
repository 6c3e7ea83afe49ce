"""A small graph for every attribute of every operator: one value of it, and another."""

import numpy as np

from tests.graph.attribute_case import (
    COLUMNS,
    FOURIER,
    FUSED,
    FUSED_GEMM,
    FUSED_MATMUL,
    GROUPED,
    INFINITE,
    KERNEL,
    LAST,
    ROI,
    ROWS,
    SCATTER,
    SHUFFLE,
    STORED,
    TURNED,
    TWELVE,
    TWO,
    VECTORS,
    Case,
    cast,
    convolution,
    extreme,
    folded,
    norm,
    op,
    reduction,
    resize,
    row,
    softmax,
    window,
)

BY_OPERATOR: dict[str, dict[str, Case]] = {
    **{kind: extreme(kind) for kind in ("ArgMax", "ArgMin")},
    "AveragePool": {
        **window("AveragePool", opset=19),
        "ceil_mode": op("AveragePool", "ceil_mode=1", more="kernel_shape=[3,3], strides=[2,2]"),
        "count_include_pad": op(
            "AveragePool", "count_include_pad=1", more="kernel_shape=[3,3], pads=[1,1,1,1]"
        ),
    },
    "BatchNormalization": {
        "epsilon": norm("BatchNormalization", "a, s, t, m, v", constants=STORED),
        "training_mode": Case(
            "[the_node] b, mm, vv = BatchNormalization{}(a, s, t, m, v)",
            "training_mode=1",
            None,
            constants=STORED,
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
    "Cast": {"to": cast("Cast", "to=6", "to=9")},
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
        **convolution("Conv", KERNEL),
        "group": op("Conv", "group=2", None, "a, w", made=8, constants=GROUPED),
    },
    "ConvTranspose": {
        **convolution("ConvTranspose", TURNED),
        "group": op("ConvTranspose", "group=2", None, "a, w", made=10, constants=TURNED),
        "output_padding": op(
            *("ConvTranspose", "output_padding=[1,0]", "", "a, w", "strides=[2,2]"),
            made=5,
            constants=TURNED,
        ),
        "output_shape": op(
            *("ConvTranspose", "output_shape=[12,11]", "", "a, w", "strides=[2,2]"),
            made=5,
            constants=TURNED,
        ),
    },
    "CumSum": {
        name: op("CumSum", f"{name}=1", inputs="a, axis", constants={"axis": np.int64(2)})
        for name in ("exclusive", "reverse")
    },
    "DFT": {
        "axis": Case(FOURIER, "axis=2", "axis=3", constants=LAST),
        "inverse": Case(FOURIER, "inverse=1", "", "axis=2", constants=LAST),
        "onesided": Case(FOURIER, "onesided=1", "", "axis=2", constants=LAST),
    },
    "DepthToSpace": {
        "blocksize": Case(SHUFFLE, "blocksize=2", None, made=3, constants=TWELVE),
        "mode": Case(SHUFFLE, 'mode="CRD"', "", "blocksize=2", made=3, constants=TWELVE),
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
        **convolution(FUSED, KERNEL),
        "activation": op(FUSED, 'activation="Relu"', "", "a, w", made=5, constants=KERNEL),
        "activation_params": op(
            *(FUSED, "activation_params=[0.5]", "activation_params=[0.1]", "a, w"),
            'activation="LeakyRelu"',
            made=5,
            constants=KERNEL,
        ),
        "group": op(FUSED, "group=2", None, "a, w", made=8, constants=GROUPED),
    },
    "FusedGemm": {
        "activation": row(f"{FUSED_GEMM}{{}}(r, k)", 'activation="Relu"', 'activation="Tanh"'),
        "activation_alpha": row(
            *(f"{FUSED_GEMM}{{}}(r, k)", "activation_alpha=0.5", "activation_alpha=0.1"),
            more='activation="LeakyRelu"',
        ),
        **{
            name: row(f"{FUSED_GEMM}{{}}({inputs})", value, other, 'activation="Relu"')
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
        "alpha": row(f"{FUSED_MATMUL}{{}}(r, k)", "alpha=0.5"),
        **{
            name: op(
                *(FUSED_MATMUL, f"{name}=1", None, "a, a"),
                frozen="FusedMatMul the_node transposes an operand",
            )
            for name in ("transA", "transB")
        },
    },
    "Gather": {"axis": op("Gather", "axis=2", "axis=3", "a, some", constants={"some": [0, 2, 2]})},
    "Gelu": {"approximate": op("Gelu", 'approximate="tanh"', opset=20)},
    "Gemm": {
        "alpha": row("Gemm{}(r, k, c)", "alpha=0.5"),
        "beta": row("Gemm{}(r, k, c)", "beta=0.5"),
        "transB": row("Gemm{}(r, kt)", "transB=1", None),
    },
    "GlobalLpPool": {"p": op("GlobalLpPool", "p=1")},
    "GroupNormalization": {
        "epsilon": norm(
            *("GroupNormalization", "a, s, t", "num_groups=2"), opset=21, constants=VECTORS
        ),
        "num_groups": op(
            *("GroupNormalization", "num_groups=2", "num_groups=4", "a, s, t"),
            opset=21,
            constants=VECTORS,
        ),
    },
    "HardSigmoid": {
        "alpha": op("HardSigmoid", "alpha=0.5"),
        "beta": op("HardSigmoid", "beta=0.25"),
    },
    "Hardmax": softmax("Hardmax"),
    "InstanceNormalization": {
        "epsilon": norm("InstanceNormalization", "a, s, t", constants=VECTORS)
    },
    "IsInf": {
        f"detect_{sign}": Case(
            f"n = Relu(a)\nl = Log(n)\nz = {turn}(l)\n{INFINITE}", f"detect_{sign}=0"
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
        "epsilon": norm("LayerNormalization", "a, s", constants={"s": (6,)}),
    },
    "LeakyRelu": {"alpha": op("LeakyRelu", "alpha=0.5")},
    "LogSoftmax": softmax("LogSoftmax"),
    "LpNormalization": {
        "axis": op("LpNormalization", "axis=2", "axis=3"),
        "p": op("LpNormalization", "p=1"),
    },
    "LpPool": {
        **window("LpPool"),
        "ceil_mode": op("LpPool", "ceil_mode=1", more="kernel_shape=[3,3], strides=[2,2]"),
        "p": op("LpPool", "p=1", more="kernel_shape=[3,3]"),
    },
    "MaxPool": {
        **window("MaxPool"),
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
        "epsilon": norm("RMSNormalization", "a, s", opset=23, constants={"s": (6,)}),
    },
    **{
        f"Reduce{what}": reduction(f"Reduce{what}")
        for what in (
            *("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum"),
            "SumSquare",
        )
    },
    "Reshape": {
        "allowzero": op("Reshape", "allowzero=1", None, "a, size", constants={"size": [1, 4, 4, 9]})
    },
    "Resize": {
        "antialias": resize("antialias=1", more='mode="linear"'),
        "axes": op(
            *("Resize", "axes=[2,3]", "axes=[3,2]", 'a, "", scales'),
            constants={"scales": np.float32([1.5, 0.5])},
        ),
        "coordinate_transformation_mode": resize(
            'coordinate_transformation_mode="asymmetric"', more='mode="linear"'
        ),
        "cubic_coeff_a": resize("cubic_coeff_a=-0.5", more='mode="cubic"'),
        "exclude_outside": resize("exclude_outside=1", more='mode="cubic"'),
        "extrapolation_value": op(
            *("Resize", "extrapolation_value=9.0", "", 'a, roi, "", sizes'),
            'mode="linear", coordinate_transformation_mode="tf_crop_and_resize"',
            constants={**ROI, "roi": np.float32([0, 0, -0.5, 0, 1, 1, 0.5, 1])},
        ),
        "keep_aspect_ratio_policy": op(
            *("Resize", 'keep_aspect_ratio_policy="not_larger"', "", 'a, "", "", sizes'),
            "axes=[2,3]",
            constants={"sizes": [12, 18]},
        ),
        "mode": resize('mode="linear"'),
        "nearest_mode": resize('nearest_mode="ceil"'),
    },
    "Scatter": {
        "axis": Case(SCATTER.format("Scatter"), "axis=3", "axis=2", opset=10, constants=COLUMNS)
    },
    "ScatterElements": {
        "axis": Case(SCATTER.format("ScatterElements"), "axis=3", "axis=2", constants=COLUMNS),
        "reduction": Case(
            SCATTER.format("ScatterElements"), 'reduction="add"', "", "axis=3", constants=COLUMNS
        ),
    },
    "Col2Im": {
        "dilations": folded("dilations=[2,2]", 8),
        "pads": folded("pads=[1,0,0,1]", 6, "pads=[0,1,1,0]"),
        "strides": folded("strides=[2,2]", 12),
    },
    "GatherElements": {
        "axis": op("GatherElements", "axis=2", "axis=3", "a, rows", constants=ROWS),
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
    "Softmax": softmax("Softmax"),
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
        "axis": Case("[the_node] b, i = TopK{}(a, two)", "axis=2", "axis=3", constants=TWO),
        "k": Case("[the_node] b, i = TopK{}(a)", "k=2", "k=3", "axis=2", opset=9),
        "largest": Case(
            "[the_node] b, i = TopK{}(a, two)", "largest=0", "", "axis=2", constants=TWO
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
