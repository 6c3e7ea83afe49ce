"""A small graph for one attribute of an operator, and how such graphs are written.

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


def window(kind: str, inputs: str = "a", more: str = "", **rest: Any) -> dict[str, Case]:
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


KERNEL = {"w": (5, 4, 3, 3)}
GROUPED = {"w": (8, 2, 3, 3)}
TURNED = {"w": (4, 5, 3, 3)}


def convolution(kind: str, constants: dict[str, Any]) -> dict[str, Case]:
    return window(kind, "a, w", made=5, constants=constants)


FUSED = "com.microsoft.FusedConv"
FUSED_GEMM = "com.microsoft.FusedGemm"
FUSED_MATMUL = "com.microsoft.FusedMatMul"


def row(node: str, value: str, other: str | None = "", more: str = "") -> Case:
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


def cast(kind: str, value: str, other: str | None, inputs: str = "a", **rest: Any) -> Case:
    """An operator whose result is no float32."""
    return Case(f"[the_node] i = {kind}{{}}({inputs})\nb = Cast<to=1>(i)", value, other, **rest)


def extreme(kind: str) -> dict[str, Case]:
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


def reduction(kind: str) -> dict[str, Case]:
    """Of positive numbers, so that logarithms are numbers."""
    node = f"p = Sigmoid(a)\n[the_node] r = {kind}{{}}(p)"
    return {
        "axes": Case(f"{node}\nb = Mul(p, r)", "axes=[2]", "axes=[3]", opset=11),
        "keepdims": Case(
            f"{node}\nb = Unsqueeze<axes=[2]>(r)", "keepdims=0", None, "axes=[2]", opset=11
        ),
        "noop_with_empty_axes": Case(f"{node}\nb = Mul(p, r)", "noop_with_empty_axes=1"),
    }


def softmax(kind: str) -> dict[str, Case]:
    return {"axis": op(kind, "axis=2", "axis=3")}


def norm(kind: str, inputs: str, more: str = "", **rest: Any) -> Case:
    return op(kind, "epsilon=0.5", inputs=inputs, more=more, **rest)


TWO = {"two": [2]}
INFINITE = "[the_node] i = IsInf{}(z)\nb = Cast<to=1>(i)"
SHUFFLE = "[c3] e = Conv(a, w3)\n[the_node] b = DepthToSpace{}(e)"
TWELVE = {"w3": (12, 4, 1, 1)}
FOURIER = "u = Unsqueeze(a, last)\n[the_node] g = DFT{}(u)\nb = ReduceSum<keepdims=0>(g, last)"
LAST = {"last": [4]}


def folded(value: str, side: int, other: str | None = None) -> Case:
    """Case of Col2Im: 36 windows of 2x2 of two pictures of this size."""
    constants = {
        "eight": np.ones((8, 4, 1, 1), np.float32),
        "columns": np.array([1, 8, 36]),
        "size": np.array([side, side]),
        "block": np.array([2, 2]),
    }
    body = "h = Conv(a, eight)\nr = Reshape(h, columns)\n[the_node] b = Col2Im{}(r, size, block)"
    return Case(body, value, other, made=2, constants=constants)


SCATTER = "p = Gather<axis=3>(a, some)\nu = Neg(p)\n[the_node] b = {}{{}}(a, places, u)"
ROWS = {"rows": np.random.default_rng(0).integers(0, 6, (1, 4, 6, 6))}
COLUMNS = {"some": [1, 3], "places": np.full((1, 4, 6, 2), [1, 3])}
VECTORS = {"s": (4,), "t": (4,)}
STORED = {**VECTORS, "m": (4,), "v": np.full(4, 2.0, np.float32)}
ROI = {"roi": np.float32([0, 0, 0, 0, 1, 1, 0.5, 1]), "sizes": [1, 4, 9, 6]}
_SCALES = {"scales": np.float32([1, 1, 1.5, 0.5])}


def resize(value: str, other: str | None = "", more: str = "", **rest: Any) -> Case:
    return op("Resize", value, other, 'a, "", scales', more, **{"constants": _SCALES, **rest})
