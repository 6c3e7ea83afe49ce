"""Statistics over the kept channels alone: the oracle for groups that are not exact."""

import pytest

from decig.graph.channels import analyse
from decig.graph.oracle import masked_graph
from tests.graph.tiny import keep, run, tiny, worst_difference

WEIGHTS = {"w1": (6, 3, 1, 1), "w2": (3, 6, 1, 1)}


def between(middle: str) -> str:
    """Something between two convolutions: it takes `a` and gives `b`."""
    return f"[c1] a = Conv(x, w1)\n {middle}\n [c2] y = Conv(b, w2)"


SHARED = {
    "GroupNormalization": ("b = GroupNormalization<num_groups=2>(a, s, h)", {"s": (6,), "h": (6,)}),
    "spelled GroupNormalization": (
        "r = Reshape(a, rows)\n n = InstanceNormalization(r, s, h)\n b = Reshape(n, back)",
        {"rows": [1, 2, -1], "s": (2,), "h": (2,), "back": [1, 6, 8, 8]},
    ),
    "LayerNormalization": (
        "b = LayerNormalization<axis=1>(a, s, h)",
        {"s": (6, 8, 8), "h": (6, 8, 8)},
    ),
    "LayerNormalization without bias": (
        "t = Transpose<perm=[0,2,3,1]>(a)\n n = LayerNormalization(t, s)\n"
        "b = Transpose<perm=[0,3,1,2]>(n)",
        {"s": (6,)},
    ),
    "RMSNormalization": (
        "t = Transpose<perm=[0,2,3,1]>(a)\n n = RMSNormalization(t, s)\n"
        "b = Transpose<perm=[0,3,1,2]>(n)",
        {"s": (6,)},
    ),
    "ReduceMean": ("m = ReduceMean<keepdims=1>(a, ax)\n b = Sub(a, m)", {"ax": [1]}),
    "ReduceMean of all": ("m = ReduceMean<keepdims=0>(a)\n b = Sub(a, m)", {}),
    "ReduceMax": ("m = ReduceMax(a, ax)\n b = Sub(a, m)", {"ax": [1]}),
    "ReduceMin": ("m = ReduceMin(a, ax)\n b = Sub(a, m)", {"ax": [-3]}),
    "ReduceProd": ("m = ReduceProd(a, ax)\n b = Sub(a, m)", {"ax": [1]}),
    "ReduceLogSumExp": ("m = ReduceLogSumExp(a, ax)\n b = Sub(a, m)", {"ax": [1]}),
}


@pytest.mark.parametrize("case", SHARED)
def test_shared_statistics_equal_those_of_the_kept_channels(case: str):
    middle, constants = SHARED[case]
    proto = tiny(between(middle), opset=23, **WEIGHTS, **constants)
    channels = analyse(proto)
    assert not channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2])) < 1e-5


def test_before_opset_18_axes_are_an_attribute():
    middle = "m = ReduceMean<axes=[1], keepdims=1>(a)\n b = Sub(a, m)"
    proto = tiny(between(middle), opset=13, **WEIGHTS)
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[1, 5])) < 1e-5


def test_a_norm_that_loses_nothing_stays_one_node():
    proto = tiny(between(SHARED["LayerNormalization"][0]), s=(6, 8, 8), h=(6, 8, 8), **WEIGHTS)
    channels = analyse(proto)
    masked = masked_graph(proto, channels, keep(channels, c1=list(range(6))))
    assert [node.op_type for node in masked.graph.node] == ["Conv", "LayerNormalization", "Conv"]
    assert run(masked)[0].shape == (1, 3, 8, 8)
