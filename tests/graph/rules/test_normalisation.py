"""Normalisations: exact where channels keep their own statistics, named where they share them."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.model import shapes
from decig.graph.rules.normalisation import uses_batch_statistics
from decig.graph.slicing import slice_graph
from tests.graph.tiny import keep, reasons, run, shape_of, tiny, widths, worst_difference

WEIGHTS = {"w1": (6, 3, 1, 1), "w2": (3, 6, 1, 1)}


def between(middle: str) -> str:
    """Something between two convolutions: it takes `a` and gives `b`."""
    return f"[c1] a = Conv(x, w1)\n {middle}\n [c2] y = Conv(b, w2)"


def test_batch_normalization_is_cut_in_all_four_vectors():
    proto = tiny(
        between("b = BatchNormalization(a, s, h, m, v)"),
        s=(6,),
        h=(6,),
        m=(6,),
        v=np.arange(1, 7, dtype=np.float32),
        **WEIGHTS,
    )
    channels = analyse(proto)
    roles = {binding.initializer: binding.role for binding in channels.bindings}
    assert [roles[name] for name in "shmv"] == ["scale", "shift", "statistic", "statistic"]
    plan = keep(channels, c1=[0, 4])
    sliced = slice_graph(proto, channels, plan)
    assert [shape_of(sliced, name) for name in "shmv"] == [[2]] * 4
    assert worst_difference(proto, channels, plan) < 1e-5


@pytest.mark.parametrize(
    ("opset", "given", "mode"), [(9, "b, i, j, k, l", ""), (15, "b, i, j", "<training_mode=1>")]
)
def test_batch_normalization_in_training_mode_is_cut_like_an_instance_norm(opset, given, mode):
    body = between(f"{given} = BatchNormalization{mode}(a, s, h, m, v)")
    proto = tiny(body, opset=opset, s=(6,), h=(6,), m=(6,), v=(6,), **WEIGHTS)
    assert [uses_batch_statistics(node) for node in proto.graph.node] == [False, True, False]
    channels = analyse(proto)
    assert channels.group("c1").exact
    plan = keep(channels, c1=[0, 4])
    assert [shape_of(slice_graph(proto, channels, plan), name) for name in "shmv"] == [[2]] * 4
    assert worst_difference(proto, channels, plan) < 1e-5


def test_running_statistics_that_are_used_follow_the_channels():
    middle = """
        n, mean, var = BatchNormalization<training_mode=1>(a, s, h, m, v)
        r = Reshape(mean, aside)
        b = Add(n, r)
    """
    more = dict.fromkeys("shmv", (6,))
    proto = tiny(between(middle), aside=[1, 6, 1, 1], **more, **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[1, 4])) < 1e-5


NORMS_BY_STYLE = {
    "InstanceNormalization": "b = InstanceNormalization(a, s, h)",
    "GroupNormalization": "b = GroupNormalization<num_groups=6>(a, s, h)",
    "BatchNormalization": "b, i, j = BatchNormalization<training_mode=1>(a, s, h, m, v)",
    "BatchNormalization, stored": "b = BatchNormalization(a, s, h, m, v)",
}


@pytest.mark.parametrize("norm", NORMS_BY_STYLE)
def test_scale_and_shift_that_are_computed_from_a_style_are_cut_too(norm: str):
    middle = f"""
        [style] p = Gemm(z, w)
        first, second = Split<axis=1>(p, sizes)
        s = Reshape(first, flat)
        h = Reshape(second, flat)
        {NORMS_BY_STYLE[norm]}
    """
    proto = tiny(
        between(middle),
        inputs="float[1,3,8,8] x, float[1,5] z",
        opset=21,
        w=(5, 12),
        sizes=[6, 6],
        flat=[-1],
        m=(6,),
        v=np.arange(1, 7, dtype=np.float32),
        **WEIGHTS,
    )
    channels = analyse(proto)
    assert all(group.exact for group in channels.prunable)
    assert sum(widths(channels).values()) == 6, "a channel, its scale and its shift go together"
    plan = keep(channels, **{name: [0, 3, 5] for name in widths(channels)})
    sliced = slice_graph(proto, channels, plan)
    assert (shape_of(sliced, "w"), shape_of(sliced, "w1")) == ([5, 6], [3, 3, 1, 1])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_scale_that_is_no_channels_keeps_all_of_them():
    proto = tiny(
        between("[n] b = InstanceNormalization(a, z, h)"),
        inputs="float[1,3,8,8] x, float[6] z",
        h=(6,),
        **WEIGHTS,
    )
    assert reasons(analyse(proto))["c1"] == "InstanceNormalization n has computed weights"


def test_instance_normalization_is_exact():
    proto = tiny(between("b = InstanceNormalization(a, s, h)"), s=(6,), h=(6,), **WEIGHTS)
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[2])) < 1e-5


def test_instance_normalization_spelled_out():
    middle = """
        r = Reshape(a, rows)
        m = ReduceMean<axes=[2], keepdims=1>(r)
        d = Sub(r, m)
        e = Mul(d, d)
        v = ReduceMean<axes=[2], keepdims=1>(e)
        w = Add(v, eps)
        u = Sqrt(w)
        n = Div(d, u)
        b = Reshape(n, back)
    """
    proto = tiny(
        between(middle),
        rows=[1, 6, 64],
        eps=np.float32(1e-5),
        back=[1, 6, 8, 8],
        **WEIGHTS,
    )
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[1, 2])) < 1e-4


def test_group_normalization_spelled_out_keeps_its_groups_equal():
    middle = "r = Reshape(a, rows)\n n = InstanceNormalization(r, s, h)\n b = Reshape(n, back)"
    proto = tiny(between(middle), rows=[1, 2, -1], s=(2,), h=(2,), back=[1, 6, 8, 8], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    assert not channels.group("c1").exact
    sliced = slice_graph(proto, channels, keep(channels, c1=[0, 2]))
    assert shape_of(sliced, "w1") == [4, 3, 1, 1]
    assert shape_of(sliced, "s") == [2]
    assert run(sliced)[0].shape == (1, 3, 8, 8)


def test_a_style_that_scales_whole_groups_stays():
    middle = """
        [style] p = Gemm(z, w)
        s = Reshape(p, flat)
        r = Reshape(a, rows)
        n = InstanceNormalization(r, s, h)
        b = Reshape(n, back)
    """
    more = {"rows": [1, 2, -1], "h": (2,), "back": [1, 6, 8, 8], "w": (5, 2), "flat": [-1]}
    inputs = "float[1,3,8,8] x, float[1,5] z"
    proto = tiny(between(middle), inputs=inputs, **more, **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    assert reasons(channels)["style"].startswith("weights of InstanceNormalization")
    assert run(slice_graph(proto, channels, keep(channels, c1=[1])))[0].shape == (1, 3, 8, 8)


def test_group_normalization_of_one_channel_a_group_spelled_out_is_exact():
    middle = "r = Reshape(a, rows)\n n = InstanceNormalization(r, s, h)\n b = Reshape(n, back)"
    proto = tiny(between(middle), rows=[1, 6, -1], s=(6,), h=(6,), back=[1, 6, 8, 8], **WEIGHTS)
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[1, 2])) < 1e-5


def test_group_normalization():
    body = between("b = GroupNormalization<num_groups=2>(a, s, h)")
    proto = tiny(body, opset=21, s=(6,), h=(6,), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    assert not channels.group("c1").exact
    sliced = slice_graph(proto, channels, keep(channels, c1=[1]))
    assert shape_of(sliced, "s") == [2]
    assert shapes(sliced)["b"] == (1, 2, 8, 8)
    assert run(sliced)[0].shape == (1, 3, 8, 8)


def test_group_normalization_of_one_channel_a_group_is_exact():
    body = between("[n] b = GroupNormalization<num_groups=6>(a, s, h)")
    proto = tiny(body, opset=21, s=(6,), h=(6,), **WEIGHTS)
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[0, 4])) < 1e-5


LAYER_NORM = between(
    "t = Transpose<perm=[0,2,3,1]>(a)\n n = LayerNormalization(t, s, h)\n"
    " b = Transpose<perm=[0,3,1,2]>(n)"
)


def test_layer_normalization_over_channels_is_inexact_but_runs():
    proto = tiny(LAYER_NORM, s=(6,), h=(6,), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert not channels.group("c1").exact
    sliced = slice_graph(proto, channels, keep(channels, c1=[0, 1, 5]))
    assert (shape_of(sliced, "s"), shape_of(sliced, "h")) == ([3], [3])
    assert run(sliced)[0].shape == (1, 3, 8, 8)


def test_layer_normalization_over_places_is_exact():
    proto = tiny(between("b = LayerNormalization<axis=2>(a, s, h)"), s=(8, 8), h=(8, 8), **WEIGHTS)
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[0, 1])) < 1e-5


def test_layer_normalization_over_the_image_has_weights_of_that_shape():
    proto = tiny(between("b = LayerNormalization<axis=1>(a, s)"), s=(6, 8, 8), **WEIGHTS)
    channels = analyse(proto)
    sliced = slice_graph(proto, channels, keep(channels, c1=[0, 1]))
    assert shape_of(sliced, "s") == [2, 8, 8]
    assert run(sliced)[0].shape == (1, 3, 8, 8)


def test_layer_normalization_that_broadcasts_its_weights_is_frozen():
    proto = tiny(LAYER_NORM.replace("n = ", "[n] n = "), s=(1,), h=(6,), **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "LayerNormalization n broadcasts its weights"


def test_lp_normalization_is_exact():
    proto = tiny(between("b = LpNormalization<axis=1>(a)"), **WEIGHTS)
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2])) < 1e-5
    passing = tiny(between("b = LpNormalization<axis=3>(a)"), **WEIGHTS)
    assert analyse(passing).group("c1").exact


def test_a_mean_over_places_passes_channels():
    proto = tiny(between("b = ReduceMean<axes=[2,3], keepdims=1>(a)"), **WEIGHTS)
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[3])) < 1e-5


def test_a_mean_without_the_reduced_axes_moves_channels():
    body = "[c1] a = Conv(x, w1)\n m = ReduceMean<axes=[2,3], keepdims=0>(a)\n [g] y = Gemm(m, w2)"
    proto = tiny(body, outputs="float[M,N] y", w1=(6, 3, 1, 1), w2=(6, 5))
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[3, 4])) < 1e-5


@pytest.mark.parametrize("kind", ["ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"])
def test_a_sum_over_channels_is_exact(kind: str):
    axes = "" if kind == "ReduceSum" else "axes=[1], "
    more = ", one" if kind == "ReduceSum" else ""
    middle = f"m = {kind}<{axes}keepdims=1>(a{more})\n b = Mul(a, m)"
    proto = tiny(between(middle), **WEIGHTS, **({"one": [1]} if more else {}))
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[0, 4])) < 1e-5


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax", "ReduceLogSumExp"])
def test_a_reduction_over_channels_is_inexact_and_its_result_has_none(kind: str):
    middle = f"m = {kind}<axes=[1], keepdims=1>(a)\n b = Mul(a, m)"
    proto = tiny(between(middle), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert not channels.group("c1").exact
    sliced = slice_graph(proto, channels, keep(channels, c1=[0, 1]))
    assert run(sliced)[0].shape == (1, 3, 8, 8)


def test_a_reduction_over_nothing_passes_channels():
    middle = "b = ReduceSum<noop_with_empty_axes=1>(a)"
    proto = tiny(between(middle), **WEIGHTS)
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[0, 1])) < 1e-5


def test_a_reduction_over_computed_axes_is_frozen():
    middle = "[r] b = ReduceSum<keepdims=1>(a, i)"
    proto = tiny(between(middle), inputs="float[1,3,8,8] x, int64[2] i", **WEIGHTS)
    assert not analyse(proto).prunable


def test_layer_normalization_whose_statistics_are_read_freezes():
    middle = "n, mean = LayerNormalization<axis=1>(a, s)\n b = Sub(n, mean)"
    proto = tiny(between(middle), s=(6, 8, 8), **WEIGHTS)
    why = "the statistics of LayerNormalization LayerNormalization_1 are read"
    assert reasons(analyse(proto))["c1"] == why
