"""Graphs of other float types in float32."""

import ml_dtypes
import numpy as np
import pytest

from decig.graph.model import initializers, input_info, output_info, replace_initializers
from decig.graph.widen import narrow, widen
from tests.graph.tiny import run, tiny

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


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_narrowing_brings_changed_weights_back_into_their_types(dtype: type):
    kind = {"float16": "float16", "bfloat16": "bfloat16", "float64": "double"}[np.dtype(dtype).name]
    values = np.arange(3).reshape(3, 1, 1).astype(dtype)
    sizes = {"inputs": f"{kind}[1,3,8,8] x", "outputs": f"{kind}[N,C,H,W] y"}
    proto = tiny("y = Mul(x, w)", **sizes, w=values)
    wide = widen(proto)
    replace_initializers(wide, {"w": initializers(wide)["w"] + 1})
    found = narrow(wide, proto)
    assert initializers(found)["w"].dtype == values.dtype
    np.testing.assert_array_equal(initializers(found)["w"], values + 1)
    assert input_info(found)[0].dtype == values.dtype
    np.testing.assert_array_equal(initializers(proto)["w"], values)


def test_narrowing_leaves_float32_as_it_is():
    proto = tiny("y = Mul(x, w)", w=np.ones((3, 1, 1), np.float32))
    assert narrow(proto, proto) is proto
