import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from decig.errors import BadInputError
from decig.graph.model import load_model, normalise
from tests.graph.tiny import parse, run, tiny

NAN, INF = np.float32("nan"), np.float32("inf")
NETWORK = "a = Conv(x, w)\n b = Relu(a)\n [last] y = Conv(b, v)"


def with_one(value: np.float32, *shape: int) -> np.ndarray:
    array = np.ones(shape, np.float32)
    array.flat[3] = value
    return array


@pytest.mark.parametrize(("value", "what"), [(NAN, "NaN"), (INF, "infinity"), (-INF, "infinity")])
def test_a_weight_that_is_no_number_is_named(value, what, tmp_path):
    proto = parse(NETWORK, w=(8, 3, 1, 1), v=with_one(value, 3, 8, 1, 1))
    wanted = rf"initializer v holds {what} \(1 of its 24 values\), which spoils Conv last"
    with pytest.raises(BadInputError, match=wanted):
        normalise(proto)
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(BadInputError, match=rf"m\.onnx: {wanted}"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_every_kind_of_float_is_looked_at(dtype):
    kind = {np.float16: "float16", np.float64: "double"}[dtype]
    weights = {"w": np.full((4, 3, 1, 1), np.inf, dtype)}
    with pytest.raises(BadInputError, match="initializer w holds infinity"):
        tiny("y = Conv(x, w)", inputs=f"{kind}[1,3,8,8] x", outputs=f"{kind}[N,C,H,W] y", **weights)


def test_bfloat16_is_looked_at():
    proto = parse("c = Cast <to = 1> (m)\n y = Mul(x, c)")
    proto.graph.initializer.append(helper.make_tensor("m", onnx.TensorProto.BFLOAT16, [1], [NAN]))
    with pytest.raises(BadInputError, match=r"initializer m holds NaN \(1 of its 1 values\)"):
        normalise(proto)


def test_a_folded_constant_is_traced_to_its_initializer():
    body = "t = Transpose <perm = [1, 0, 2, 3]> (raw)\n [only] y = Conv(x, t)"
    with pytest.raises(BadInputError, match=r"initializer raw holds NaN .* spoils Conv only"):
        tiny(body, raw=with_one(NAN, 3, 8, 1, 1))


def test_what_becomes_no_number_when_it_is_folded_is_named_too():
    """A direction of length zero, as weight normalisation divides by it."""
    body = "n = ReduceL2 <axes = [1, 2, 3]> (raw) w = Div(raw, n)\n [only] y = Conv(x, w)"
    with pytest.raises(BadInputError, match=r"constant w holds NaN .* spoils Conv only"):
        tiny(body, raw=np.zeros((8, 3, 1, 1), np.float32))


FINE = {
    "mask in front of a softmax": ("a = Add(x, m) y = Softmax(a)", -INF),
    "the same, scaled first": ("s = Mul(m, k) a = Add(x, s) b = Identity(a) y = Softmax(b)", -INF),
    "a softmax spelled out": (
        "a = Add(x, m) t = ReduceMax <axes = [3]> (a) s = Sub(a, t) e = Exp(s)"
        "u = ReduceSum <keepdims = 1> (e, three) y = Div(e, u)",
        -INF,
    ),
    "chosen by a condition": ("c = Greater(x, k) a = Where(c, x, m) y = Softmax(a)", -INF),
    "NaN that is chosen never": ("c = Less(x, k) d = Not(c) e = Or(c, d) y = Where(e, x, m)", NAN),
    "bounds": ("a = Clip(x, none, scalar) y = Max(a, k)", INF),
    "beside a maximum": ("y = Max(x, m)", -INF),
    "a border that no maximum takes": (
        "a = Pad(x, pads, lowest) y = MaxPool <kernel_shape = [3, 3]> (a)",
        -INF,
    ),
    "a divisor": ("y = Div(x, m)", INF),
}


@pytest.mark.parametrize("name", FINE)
def test_infinities_that_are_meant_pass(name):
    body, value = FINE[name]
    proto = tiny(
        body,
        m=with_one(value, 1, 1, 8, 8),
        k=np.float32(0.5),
        three=[3],
        scalar=np.float32(value),
        none=np.float32(-np.inf),
        lowest=np.float32(-np.inf),
        pads=[0, 0, 1, 1, 0, 0, 1, 1],
    )
    assert all(np.isfinite(output).all() for output in run(proto))


def test_fused_masks_of_attention_pass():
    """A window's mask, sliced and repeated before it is added."""
    body = """
        q = Reshape(x, rows)
        t = Transpose <perm = [0, 2, 1]> (q)
        s = MatMul(t, q)
        e = Expand(m, whole)
        a = Add(s, e)
        p = Softmax(a)
        y = MatMul(q, p)
    """
    mask = np.triu(np.full((64, 64), -np.inf, np.float32), 1)[None]
    proto = tiny(body, outputs="float[N,C,H] y", rows=[1, 3, 64], m=mask, whole=[1, 64, 64])
    assert np.isfinite(run(proto)[0]).all()


SPOILT = {
    "added in front of a layer": ("a = Add(x, m)\n [last] y = Conv(a, w)", "Conv last"),
    "behind a rectifier": ("a = Add(x, m) b = Relu(a)\n [last] y = Conv(b, w)", "Conv last"),
    "a slope": ("a = PRelu(x, m)\n [last] y = Conv(a, w)", "Conv last"),
    "at the end": ("a = Conv(x, w) y = Add(a, m)", "output y"),
    "in a product": ("[last] y = MatMul(x, m)", "MatMul last"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_infinities_that_reach_a_layer_do_not(name):
    body, where = SPOILT[name]
    with pytest.raises(BadInputError, match=f"initializer m holds infinity .* spoils {where};"):
        tiny(body, m=with_one(INF, 1, 1, 8, 8), w=(3, 3, 1, 1))


@pytest.mark.parametrize(
    ("slot", "name"), [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")]
)
@pytest.mark.parametrize("value", [NAN, INF])
def test_norms_take_numbers_alone(slot, name, value):
    given = {n: np.ones(3, np.float32) for n in ("scale", "bias", "mean", "variance")}
    given[name] = np.array([1, value, 1], np.float32)
    with pytest.raises(BadInputError, match=f"initializer {name} holds .* BatchNormalization norm"):
        tiny("[norm] y = BatchNormalization(x, scale, bias, mean, variance)", **given)


def test_attributes_are_numbers_too():
    proto = parse("[slope] y = LeakyRelu <alpha = 0.5> (x)")
    proto.graph.node[0].attribute[0].f = float("nan")
    with pytest.raises(BadInputError, match="LeakyRelu slope: attribute alpha is no number"):
        normalise(proto)
    proto = parse("[norm] y = InstanceNormalization <epsilon = 0.5> (x, s, s)", s=(3,))
    proto.graph.node[0].attribute[0].f = float("inf")
    with pytest.raises(BadInputError, match="InstanceNormalization norm: attribute epsilon is no"):
        normalise(proto)


def test_bounds_in_attributes_may_be_infinite():
    proto = parse("y = Clip <max = 1.0, min = 0.0> (x)", opset=10)
    proto.graph.node[0].attribute[0].f = float("inf")
    assert np.isfinite(run(normalise(proto))[0]).all()


@given(
    st.sampled_from(["w", "v"]),
    st.integers(0, 23),
    st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_one_wrong_weight_anywhere_is_found(name, place, value):
    proto = parse(NETWORK, w=(8, 3, 1, 1), v=(3, 8, 1, 1))
    tensor = next(t for t in proto.graph.initializer if t.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array.flat[place] = value
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    with pytest.raises(BadInputError, match=f"initializer {name} holds"):
        normalise(proto)
