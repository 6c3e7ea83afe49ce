"""True multiply-accumulates and parameters, against figures worked out by hand."""

import pytest

from decig.graph.cost import count
from tests.graph.tiny import tiny


@pytest.mark.parametrize(
    ("body", "weights", "macs"),
    [
        ("y = Conv<pads=[1,1,1,1]>(x, w)", {"w": (5, 3, 3, 3)}, 8 * 8 * 5 * 3 * 9),
        ("y = Conv<strides=[2,2]>(x, w)", {"w": (5, 3, 2, 2)}, 4 * 4 * 5 * 3 * 4),
        ("y = Conv<group=3>(x, w)", {"w": (6, 1, 1, 1)}, 8 * 8 * 6),
        # At its input size, where it works: stride 2 makes 16x16 outputs of 8x8 inputs.
        ("y = ConvTranspose<strides=[2,2]>(x, w)", {"w": (3, 5, 2, 2)}, 8 * 8 * 3 * 5 * 4),
        ("y = ConvTranspose<group=3>(x, w)", {"w": (3, 2, 1, 1)}, 8 * 8 * 3 * 2),
        (
            """y = com.microsoft.FusedConv<pads=[1,1,1,1], activation="Relu">(x, w)""",
            {"w": (5, 3, 3, 3)},
            8 * 8 * 5 * 3 * 9,
        ),
        ("y = com.microsoft.FusedMatMul<alpha=0.5>(x, w)", {"w": (8, 7)}, 3 * 8 * 8 * 7),
        ("y = MatMul(x, w)", {"w": (8, 7)}, 3 * 8 * 8 * 7),
        ("y = Relu(x)", {}, 0),
    ],
)
def test_macs_of_one_node(body: str, weights: dict, macs: int):
    cost = count(tiny(body, **weights))
    assert cost.macs == macs
    assert list(cost.by_node.values()) == ([macs] if macs else [])


@pytest.mark.parametrize(
    ("attributes", "b", "macs"),
    [("", (6, 5), 4 * 6 * 5), ("<transB=1>", (5, 6), 4 * 6 * 5), ("<transA=1>", (4, 5), 4 * 6 * 5)],
)
def test_macs_of_gemm(attributes: str, b: tuple, macs: int):
    body = f"y = Gemm{attributes}(x, w)"
    assert count(tiny(body, inputs="float[4,6] x", outputs="float[M,N] y", w=b)).macs == macs


def test_a_product_of_two_computed_operands_counts():
    body = "t = Transpose<perm=[0,1,3,2]>(x)\n [m] y = MatMul(x, t)"
    assert count(tiny(body)).by_node == {"m": 3 * 8 * 8 * 8}


def test_params_are_float_tensors_but_not_scalars():
    body = "a = Conv(x, w, b)\n c = Add(a, one)\n y = Reshape(c, shape)"
    proto = tiny(body, w=(4, 3, 1, 1), b=(4,), one=(), shape=[1, 4, 8, 8])
    assert count(proto).params == 4 * 3 + 4


def test_the_total_is_the_sum_of_the_nodes():
    proto = tiny("[c1] a = Conv(x, w1)\n [c2] y = Conv(a, w2)", w1=(4, 3, 1, 1), w2=(2, 4, 3, 3))
    cost = count(proto)
    assert cost.by_node == {"c1": 64 * 4 * 3, "c2": 36 * 2 * 4 * 9}
    assert cost.macs == sum(cost.by_node.values())
