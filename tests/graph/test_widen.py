"""Graphs of other float types in float32."""

import ml_dtypes
import numpy as np
import pytest

from decig.graph.model import initializers, input_info, output_info
from decig.graph.widen import widen
from graph.tiny import run, tiny

BODY = """
    [c1] a = Conv<pads=[1,1,1,1]>(x, w1)
    b = Cast<to={0}>(a)
    c = Cast<to=1>(b)
    d = Cast<to={0}>(c)
    y = Mul(d, half)
"""


@pytest.mark.parametrize(
    ("kind", "number", "dtype"),
    [
        ("float16", 10, np.float16),
        ("bfloat16", 16, ml_dtypes.bfloat16),
        ("double", 11, np.float64),
    ],
)
def test_every_float_is_a_float32(kind: str, number: int, dtype: type):
    random = np.random.default_rng(0)
    weight, image = random.normal(size=(4, 3, 3, 3)), random.normal(size=(1, 3, 8, 8))
    arrays = {"w1": weight.astype(dtype), "half": np.array(0.5, dtype)}
    proto = tiny(
        BODY.format(number), inputs=f"{kind}[1,3,8,8] x", outputs=f"{kind}[N,C,H,W] y", **arrays
    )
    before = proto.SerializeToString()
    wide = widen(proto)
    assert proto.SerializeToString() == before
    assert {array.dtype for array in initializers(wide).values()} == {np.dtype(np.float32)}
    assert input_info(wide)[0].dtype == output_info(wide)[0].dtype == np.float32
    same = tiny(
        "[c1] a = Conv<pads=[1,1,1,1]>(x, w1)\n y = Mul(a, half)",
        **{name: array.astype(np.float32) for name, array in arrays.items()},
    )
    feeds = {"x": image.astype(np.float32)}
    np.testing.assert_allclose(run(wide, feeds)[0], run(same, feeds)[0], rtol=1e-6, atol=1e-6)


def test_a_float32_graph_is_returned_itself():
    proto = tiny("y = Relu(x)")
    assert widen(proto) is proto
