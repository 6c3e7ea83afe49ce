"""Multiply-accumulates against loops that multiply one pair of numbers at a time, and count.

The loops are checked against ONNX Runtime, so what they count is what the operators compute.
"""

from itertools import product

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decig.graph.cost import count
from tests.graph.tiny import run, tiny

_RANDOM = np.random.default_rng(0)
_QUICK = settings(max_examples=15, derandomize=True, database=None, deadline=None)


class Loops:
    """Computes operators with one multiplication at a time."""

    def __init__(self) -> None:
        self.multiplied = 0

    def _add(self, total: np.ndarray, place: tuple, a: float, b: float) -> None:
        self.multiplied += 1
        total[place] += a * b

    def conv(self, x: np.ndarray, w: np.ndarray, group: int, stride: int, pad: int) -> np.ndarray:
        x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        outputs, inputs, *kernel = w.shape
        size = [(n - k) // stride + 1 for n, k in zip(x.shape[2:], kernel, strict=True)]
        y = np.zeros((len(x), outputs, *size), np.float32)
        for n, o, i, j in np.ndindex(y.shape):
            first = o // (outputs // group) * inputs
            for c, p, q in np.ndindex(inputs, *kernel):
                pixel = x[n, first + c, i * stride + p, j * stride + q]
                self._add(y, (n, o, i, j), pixel, w[o, c, p, q])
        return y

    def transposed(self, x: np.ndarray, w: np.ndarray, group: int, stride: int) -> np.ndarray:
        inputs, outputs, *kernel = w.shape
        size = [(n - 1) * stride + k for n, k in zip(x.shape[2:], kernel, strict=True)]
        y = np.zeros((len(x), outputs * group, *size), np.float32)
        for n, c, i, j in np.ndindex(x.shape):
            first = c // (inputs // group) * outputs
            for o, p, q in np.ndindex(outputs, *kernel):
                place = (n, first + o, i * stride + p, j * stride + q)
                self._add(y, place, x[n, c, i, j], w[c, o, p, q])
        return y

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = np.broadcast_to(a, lead + a.shape[-2:]), np.broadcast_to(b, lead + b.shape[-2:])
        y = np.zeros((*lead, a.shape[-2], b.shape[-1]), np.float32)
        for *stack, m, n in np.ndindex(y.shape):
            for k in range(a.shape[-1]):
                self._add(y, (*stack, m, n), a[(*stack, m, k)], b[(*stack, k, n)])
        return y

    def einsum(self, equation: str, *operands: np.ndarray) -> np.ndarray:
        """Loop over every value that the letters take."""
        terms, result = equation.split("->")
        sizes: dict[str, int] = {}
        for term, operand in zip(terms.split(","), operands, strict=True):
            sizes |= dict(zip(term, operand.shape, strict=True))
        y = np.zeros([sizes[letter] for letter in result], np.float32)
        for values in product(*map(range, sizes.values())):
            at = dict(zip(sizes, values, strict=True))
            numbers = [
                operand[tuple(at[letter] for letter in term)]
                for term, operand in zip(terms.split(","), operands, strict=True)
            ]
            self.multiplied += len(numbers) - 1
            y[tuple(at[letter] for letter in result)] += np.prod(numbers)
        return y


def check(proto: onnx.ModelProto, loops: Loops, x: np.ndarray, expected: np.ndarray) -> None:
    """Compare both the numbers and the count of multiplications."""
    (found,) = run(proto, {proto.graph.input[0].name: x})
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert count(proto).macs == loops.multiplied


def values(*shape: int) -> np.ndarray:
    return _RANDOM.normal(size=shape).astype(np.float32)


small = st.integers(1, 3)
_IDLE = 'activation="LeakyRelu", activation_alpha=1.0'  # ONNX Runtime wants one there


@_QUICK
@given(small, small, st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1))
def test_a_convolution(inputs: int, outputs: int, group: int, k: int, stride: int, pad: int):
    x, w = values(1, inputs * group, 4, 5), values(outputs * group, inputs, k, k)
    attributes = f"<group={group}, strides=[{stride},{stride}], pads=[{pad},{pad},{pad},{pad}]>"
    proto = tiny(f"y = Conv{attributes}(x, w)", inputs=f"float[1,{inputs * group},4,5] x", w=w)
    loops = Loops()
    check(proto, loops, x, loops.conv(x, w, group, stride, pad))


@_QUICK
@given(small, small, st.integers(1, 2), st.integers(1, 3), st.integers(1, 2))
def test_a_transposed_convolution(inputs: int, outputs: int, group: int, k: int, stride: int):
    x, w = values(2, inputs * group, 3, 4), values(inputs * group, outputs, k, k)
    attributes = f"<group={group}, strides=[{stride},{stride}]>"
    body = f"y = ConvTranspose{attributes}(x, w)"
    proto = tiny(body, inputs=f"float[2,{inputs * group},3,4] x", w=w)
    loops = Loops()
    check(proto, loops, x, loops.transposed(x, w, group, stride))


@pytest.mark.parametrize(
    ("op", "a", "b", "settings"),
    [
        ("MatMul", (2, 3, 4), (4, 5), ""),
        ("MatMul", (2, 1, 3, 4), (1, 5, 4, 2), ""),
        ("Gemm", (3, 4), (4, 5), ""),
        ("Gemm", (3, 4), (5, 4), "transB=1"),
        ("Gemm", (4, 3), (4, 5), "transA=1"),
        ("com.microsoft.FusedMatMul", (2, 3, 4), (4, 5), ""),
        ("com.microsoft.FusedGemm", (3, 4), (4, 5), _IDLE),
    ],
)
def test_a_matrix_product(op: str, a: tuple, b: tuple, settings: str):
    left, right = values(*a), values(*b)
    shape, rank = ",".join(map(str, a)), ",".join("NCHW"[: max(len(a), len(b))])
    body = f"y = {op}{f'<{settings}>' if settings else ''}(x, w)"
    proto = tiny(body, inputs=f"float[{shape}] x", outputs=f"float[{rank}] y", w=right)
    loops = Loops()
    turned = left.T if "transA" in settings else left
    check(proto, loops, left, loops.product(turned, right.T if "transB" in settings else right))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("nchw,oc->nohw", [(1, 3, 2, 4), (5, 3)]),
        ("ncp,ncq->npq", [(2, 3, 4), (2, 3, 5)]),
        ("nc,c,oc->no", [(2, 3), (3,), (4, 3)]),
        ("ncp->np", [(2, 3, 4)]),
    ],
)
def test_an_einsum(equation: str, shapes: list):
    first, *others = (values(*shape) for shape in shapes)
    weights = {f"w{index}": array for index, array in enumerate(others)}
    rank = ",".join("NCHW"[: len(equation.partition("->")[2])])
    body = f'y = Einsum<equation="{equation}">({", ".join(["x", *weights])})'
    inputs = f"float[{','.join(map(str, shapes[0]))}] x"
    proto = tiny(body, inputs=inputs, outputs=f"float[{rank}] y", **weights)
    loops = Loops()
    check(proto, loops, first, loops.einsum(equation, first, *others))


def test_an_ellipsis_stands_for_the_axes_that_are_left():
    body = 'y = Einsum<equation="...c,oc->...o">(x, w)'
    proto = tiny(body, inputs="float[2,3,4] x", outputs="float[N,P,O] y", w=(5, 4))
    assert count(proto).macs == 2 * 3 * 4 * 5


def test_an_axis_of_size_1_is_broadcast_behind_an_ellipsis():
    body = 'y = Einsum<equation="...pc,...cq->...pq">(x, w)'
    proto = tiny(body, inputs="float[6,2,3] x", outputs="float[N,P,Q] y", w=(1, 3, 5))
    assert count(proto).macs == 6 * 2 * 3 * 5
