"""Elementwise operators: channels pass, operands are united, constants are bound."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from tests.graph.tiny import keep, reasons, shape_of, tiny, widths, worst_difference

WEIGHTS = {"w1": (6, 3, 1, 1), "w2": (3, 6, 1, 1)}


def between(middle: str) -> str:
    """Something between two convolutions: it takes `a` and gives `b`."""
    return f"[c1] a = Conv(x, w1)\n {middle}\n [c2] y = Conv(b, w2)"


@pytest.mark.parametrize(
    "middle",
    [
        "b = Relu(a)",
        "b = Exp(a)",
        "b = HardSwish(a)",
        "b = Clip(a, low, high)",
        "b = MaxPool<kernel_shape=[2,2]>(a)",
        "b = GlobalAveragePool(a)",
        "b = LpPool<kernel_shape=[3,3]>(a)",
        "c = Sigmoid(a)\n b = Mul(a, c)",
        "c, mask = Dropout(a)\n b = Identity(c)",
    ],
)
def test_channels_pass(middle: str):
    low, high = np.float32(-1), np.float32(1)
    proto = tiny(between(middle), low=low, high=high, **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[1, 2])) < 1e-5


@pytest.mark.parametrize(
    ("shape", "after"),
    [
        ((6, 1, 1), [2, 1, 1]),
        ((1, 6, 1, 1), [1, 2, 1, 1]),
        ((1, 6, 8, 8), [1, 2, 8, 8]),
        ((6, 8, 1), [2, 8, 1]),
        ((8, 8), [8, 8]),
        ((1,), [1]),
        ((), []),
    ],
)
@pytest.mark.parametrize("operation", ["Add(a, k)", "Sub(k, a)", "PRelu(a, k)"])
def test_constants_follow_the_channels_they_meet(operation: str, shape: tuple, after: list):
    proto = tiny(between(f"b = {operation}"), k=shape, **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, c1=[0, 4])
    assert shape_of(slice_graph(proto, channels, plan), "k") == after
    assert worst_difference(proto, channels, plan) < 1e-5


def test_the_bias_of_an_activation_is_cut_with_its_channels():
    middle = """t = Transpose<perm = [0, 2, 3, 1]>(a)
    g = com.microsoft.FastGelu(t, bias)
    b = Transpose<perm = [0, 3, 1, 2]>(g)"""
    proto = tiny(between(middle), bias=np.arange(6, dtype=np.float32), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    plan = keep(channels, c1=[1, 2, 5])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert list(initializers(slice_graph(proto, channels, plan))["bias"]) == [1, 2, 5]


def test_a_shared_constant_is_cut_for_each_use():
    body = """
        [c1] a = Conv(x, w1)
        b = Add(a, k)
        [c2] c = Conv(b, w2)
        d = Add(c, k)
        [c3] y = Conv(d, w3)
    """
    proto = tiny(body, w1=(6, 3, 1, 1), k=(6, 1, 1), w2=(6, 6, 1, 1), w3=(3, 6, 1, 1))
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[0], c2=[1, 2, 3])) < 1e-5


@pytest.mark.parametrize("kind", ["Add", "Mul", "Max", "Sum", "Mean", "Pow"])
def test_operands_are_united(kind: str):
    body = f"""
        [c1] a = Conv(x, w1)
        [c2] b = Conv(x, w2)
        e = Abs(a)
        c = {kind}(e, b)
        [c3] y = Conv(c, w3)
    """
    proto = tiny(body, w1=(6, 3, 1, 1), w2=(6, 3, 1, 1), w3=(3, 6, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert channels.group("c1").nodes == ["c1", "c2", "c3"]


def test_where_unites_all_three():
    body = """
        [c1] a = Conv(x, w1)
        [c2] b = Conv(x, w2)
        q = Greater(a, b)
        c = Where(q, a, b)
        [c3] y = Conv(c, w3)
    """
    proto = tiny(body, w1=(6, 3, 1, 1), w2=(6, 3, 1, 1), w3=(3, 6, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[3])) < 1e-5


def test_a_sum_with_the_image_is_frozen():
    body = "[c1] a = Conv(x, w1)\n [plus] b = Add(a, x)\n [c2] y = Conv(b, w2)"
    channels = analyse(tiny(body, w1=(3, 3, 1, 1), w2=(3, 3, 1, 1)))
    assert reasons(channels)["c1"] == "Add plus joins them with fixed channels"


def test_one_channel_is_broadcast_over_all():
    body = between("[m] m = Conv(x, wm)\n s = Sigmoid(m)\n b = Mul(a, s)")
    proto = tiny(body, wm=(1, 3, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[1, 5])) < 1e-5


def test_a_vector_of_one_axis_less_meets_the_right_axis():
    """Channels last: a [C] bias meets the last axis."""
    middle = "t = Transpose<perm=[0,2,3,1]>(a)\n u = Add(t, k)\n b = Transpose<perm=[0,3,1,2]>(u)"
    proto = tiny(between(middle), k=(6,), **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, c1=[0, 4])
    assert shape_of(slice_graph(proto, channels, plan), "k") == [2]
    assert worst_difference(proto, channels, plan) < 1e-5


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_of_a_softmax_over_channels_those_kept_share_the_sum(operator: str):
    passing = tiny(between(f"b = {operator}<axis=3>(a)"), **WEIGHTS)
    assert widths(analyse(passing)) == {"c1": 6} and analyse(passing).group("c1").exact
    proto = tiny(between(f"b = {operator}<axis=1>(a)"), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6} and not channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[1, 4])) < 1e-5


def test_the_largest_of_all_channels_is_no_channel():
    proto = tiny(between("[s] b = Hardmax<axis=1>(a)"), **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "Hardmax s compares channels"


def test_before_opset_13_softmax_takes_all_axes_from_its_own():
    over = tiny(between("[s] b = Softmax(a)"), opset=11, **WEIGHTS)
    channels = analyse(over)
    assert not channels.group("c1").exact
    assert worst_difference(over, channels, keep(channels, c1=[0, 3])) < 1e-5
    passing = tiny(between("b = Softmax<axis=2>(a)"), opset=11, **WEIGHTS)
    channels = analyse(passing)
    assert worst_difference(passing, channels, keep(channels, c1=[1, 4])) < 1e-5


def test_indices_of_a_pool_freeze():
    body = between("[p] b, i = MaxPool<kernel_shape=[2,2]>(a)\n j = Cast<to=1>(i)")
    proto = tiny(body, outputs="float[N,C,H,W] y, float[N,C,H,W] j", **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "the indices of MaxPool p count channels"


def test_a_tensor_as_wide_as_the_channels_but_without_any_freezes():
    """Their mean, laid out for every one of them: its shape is not known to follow a cut."""
    middle = "m = ReduceMean<axes=[1]>(a)\n e = Tile(m, times)\n [minus] b = Sub(a, e)"
    proto = tiny(between(middle), times=[1, 6, 1, 1], **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "Sub minus meets a computed tensor"


def test_cumsum_along_an_axis_in_a_list():
    proto = tiny(
        "[c1] a = Conv(x, w1)\n b = CumSum(a, axis)\n [c2] y = Conv(b, w2)",
        axis=[2],
        w1=(6, 3, 1, 1),
        w2=(3, 6, 1, 1),
    )
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[0, 4])) < 1e-5


def test_copies_for_every_channel_go_with_it():
    """The mean over channels, expanded to all of them."""
    middle = "m = ReduceMean<axes=[1]>(a)\n e = Expand(m, shape)\n f = Abs(e)\n b = Sub(a, f)"
    proto = tiny(between(middle), shape=[1, 6, 8, 8], **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, c1=[1, 2, 5])
    assert initializers(slice_graph(proto, channels, plan))["shape"].tolist() == [1, 3, 8, 8]
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_number_per_head_leaves_the_places_of_heads_to_be_cut():
    """Statistics over the places of a head, and a constant per head: heads stay whole."""
    middle = """
        h = Reshape(a, heads)
        m = ReduceMean<axes=[2]>(h)
        n = Sub(h, m)
        k = Mul(n, scale)
        b = Reshape(k, back)
    """
    proto = tiny(
        between(middle), heads=[1, 2, 3, 8, 8], back=[1, 6, 8, 8], scale=(2, 1, 1, 1), **WEIGHTS
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3} and not channels.group("c1").exact
    plan = keep(channels, c1=[0, 2])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert shape_of(slice_graph(proto, channels, plan), "scale") == [2, 1, 1, 1]


@pytest.mark.parametrize("focus", ["f = Softmax<axis=1>(h)", "f = Identity(h)"])
def test_branches_that_are_stacked_and_added_up_lose_the_same_channels(focus: str):
    """Selective kernels: two branches, their weights compared, and their sum."""
    body = f"""
        [c1] a = Conv(x, w1)
        [c3] d = Conv(x, w3)
        c = Concat<axis=1>(a, d)
        h = Reshape(c, two)
        {focus}
        g = Mul(f, h)
        b = ReduceSum<keepdims=0>(g, one)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(body, two=[1, 2, 6, 8, 8], one=[1], w3=(6, 3, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6} and channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2, 3])) < 1e-5
