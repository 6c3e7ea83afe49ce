"""Operators that move data: identities move with it, constants are mended."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from tests.graph.rules.between import WEIGHTS, between, sliced_constant
from tests.graph.tiny import keep, reasons, tiny, widths, worst_difference


@pytest.mark.parametrize(
    ("target", "after"),
    [
        ([1, 6, 64], [1, 2, 64]),
        ([1, 6, -1], [1, 2, -1]),
        ([0, 6, -1], [0, 2, -1]),
        ([0, 0, -1], [0, 0, -1]),
        ([1, -1, 64], [1, -1, 64]),
        ([-1, 6, 64], [-1, 2, 64]),
    ],
)
def test_the_shape_of_a_reshape_is_mended(target: list, after: list):
    body = between("r = Reshape(a, shape)\n b = Reshape(r, back)")
    proto = tiny(body, shape=target, back=[1, 6, 8, 8], **WEIGHTS)
    assert sliced_constant(proto, analyse(proto), "shape", c1=[0, 3]) == after


def test_flattened_channels_are_read_place_by_place():
    body = "[c1] a = Conv(x, w1)\n f = Flatten(a)\n [g] y = Gemm(f, w2)"
    proto = tiny(body, outputs="float[M,N] y", w1=(4, 3, 1, 1), w2=(4 * 64, 5))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 4}
    plan = keep(channels, c1=[1, 3])
    weight = initializers(slice_graph(proto, channels, plan))["w2"]
    assert np.array_equal(
        weight, initializers(proto)["w2"].reshape(4, 64, 5)[[1, 3]].reshape(-1, 5)
    )
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_reshape_to_a_computed_shape_freezes():
    body = f"t = Squeeze(s)\n{between('[r] b = Reshape(a, t)')}"
    proto = tiny(body, inputs="float[1,3,8,8] x, int64[1,4] s", **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "Reshape r: no static shape for 'b'"


def test_squeeze_and_unsqueeze_move_channels():
    body = "u = Unsqueeze(a, ax)\n s = Squeeze(u, ax2)"
    body = between(f"{body}\n b = Identity(s)")
    proto = tiny(body, ax=[0, 4], ax2=[0, 4], **WEIGHTS)
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[5])) < 1e-5


def test_squeeze_without_axes_would_drop_a_last_channel():
    body = """
        [c1] a = Conv(x, w1)
        p = GlobalAveragePool(a)
        [s] q = Squeeze(p)
        r = Reshape(q, shape)
        [c2] y = Conv(r, w2)
    """
    proto = tiny(body, shape=[1, 6, 1, 1], **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "Squeeze s names no axes"


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [3, 2, 1, 0]])
def test_transpose_moves_the_axis(perm: list):
    back = [perm.index(axis) for axis in range(4)]
    proto = tiny(
        between(f"t = Transpose<perm={perm}>(a)\n b = Transpose<perm={back}>(t)"), **WEIGHTS
    )
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[0, 1, 5])) < 1e-5


def test_concat_over_channels_shifts_indices():
    body = "[c1] a = Conv(x, w1)\n j = Concat<axis=1>(x, a, a)\n [c2] y = Conv(j, w2)"
    proto = tiny(body, w1=(4, 3, 1, 1), w2=(3, 11, 1, 1))
    channels = analyse(proto)
    plan = keep(channels, c1=[1, 2])
    weight = initializers(slice_graph(proto, channels, plan))["w2"]
    assert np.array_equal(weight, initializers(proto)["w2"][:, [0, 1, 2, 4, 5, 8, 9]])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_concat_over_places_unites():
    body = """
        [c1] a = Conv(x, w1)
        [c2] b = Conv(x, w2)
        j = Concat<axis=3>(a, b)
        [c3] y = Conv(j, w3)
    """
    proto = tiny(body, w1=(6, 3, 1, 1), w2=(6, 3, 1, 1), w3=(3, 6, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[2, 4])) < 1e-5


def test_concat_over_places_with_the_image_freezes():
    body = "[c1] a = Conv(x, w1)\n [j] b = Concat<axis=2>(a, x)\n [c2] y = Conv(b, w2)"
    proto = tiny(body, w1=(3, 3, 1, 1), w2=(3, 3, 1, 1))
    assert reasons(analyse(proto))["c1"] == "Concat j joins them with fixed channels"


def test_padding_channels_are_fixed_and_their_neighbours_free():
    body = "[c1] a = Conv(x, w1)\n b = Pad(a, amounts)\n [c2] y = Conv(b, w2)"
    proto = tiny(body, w1=(4, 3, 1, 1), amounts=[0, 1, 0, 0, 0, 2, 0, 0], w2=(3, 7, 1, 1))
    channels = analyse(proto)
    plan = keep(channels, c1=[0, 3])
    weight = initializers(slice_graph(proto, channels, plan))["w2"]
    assert np.array_equal(weight, initializers(proto)["w2"][:, [0, 1, 4, 5, 6]])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_mirrored_channels_freeze():
    body = '[c1] a = Conv(x, w1)\n [p] b = Pad<mode="reflect">(a, amounts)\n [c2] y = Conv(b, w2)'
    proto = tiny(body, w1=(4, 3, 1, 1), amounts=[0, 1, 0, 0, 0, 1, 0, 0], w2=(3, 6, 1, 1))
    assert reasons(analyse(proto))["c1"] == "Pad p pads channels"


@pytest.mark.parametrize(
    ("resize", "constants"),
    [
        ("Resize(a, , scales)", {"scales": np.array([1, 1, 2, 2], np.float32)}),
        ("Resize(a, , , sizes)", {"sizes": [1, 6, 16, 16]}),
    ],
)
def test_resize(resize: str, constants: dict):
    proto = tiny(between(f"b = {resize}"), **constants, **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, c1=[0, 4])
    assert worst_difference(proto, channels, plan) < 1e-5
    if "sizes" in constants:
        sizes = initializers(slice_graph(proto, channels, plan))["sizes"]
        assert list(sizes) == [1, 2, 16, 16]


def test_expand_is_mended():
    body = between("p = GlobalAveragePool(a)\n b = Expand(p, shape)")
    proto = tiny(body, shape=[1, 6, 4, 4], **WEIGHTS)
    assert sliced_constant(proto, analyse(proto), "shape", c1=[1, 2]) == [1, 2, 4, 4]


def test_tiled_channels_are_the_same_channels():
    body = "[c1] a = Conv(x, w1)\n b = Tile(a, repeats)\n [c2] y = Conv(b, w2)"
    proto = tiny(body, w1=(4, 3, 1, 1), repeats=[1, 2, 1, 2], w2=(3, 8, 1, 1))
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[1, 3])) < 1e-5


@pytest.mark.parametrize(
    ("mode", "kept"), [("DCR", [0, 1, 3, 4, 6, 7, 9, 10]), ("CRD", [0, 1, 2, 3, 4, 5, 6, 7])]
)
def test_depth_to_space_takes_four_channels_for_one(mode: str, kept: list):
    body = f"""
        [c1] a = Conv(x, w1)
        b = DepthToSpace<blocksize=2, mode="{mode}">(a)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(body, w1=(12, 3, 1, 1), w2=(3, 3, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    plan = keep(channels, c1=[0, 1])
    weight = initializers(slice_graph(proto, channels, plan))["w1"]
    assert np.array_equal(weight, initializers(proto)["w1"][kept])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_space_to_depth_repeats_channels():
    body = "[c1] a = Conv(x, w1)\n b = SpaceToDepth<blocksize=2>(a)\n [c2] y = Conv(b, w2)"
    proto = tiny(body, w1=(3, 3, 1, 1), w2=(3, 12, 1, 1))
    channels = analyse(proto)
    plan = keep(channels, c1=[0, 2])
    weight = initializers(slice_graph(proto, channels, plan))["w2"]
    assert np.array_equal(weight, initializers(proto)["w2"][:, [0, 2, 3, 5, 6, 8, 9, 11]])
    assert worst_difference(proto, channels, plan) < 1e-5


@pytest.mark.parametrize(
    ("pad", "constants"),
    [
        ("Pad(a, amounts)", {"amounts": [0, 1, 0, 0, 0, -1, 0, 0]}),
        ("Pad(a, amounts, , axes)", {"amounts": [1, -1], "axes": [-3]}),
    ],
)
def test_a_pad_that_shifts_channels_freezes(pad: str, constants: dict):
    proto = tiny(between(f"b = {pad}"), opset=18, **constants, **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "Pad Pad_1 pads channels"


def test_a_pad_of_named_axes_passes():
    proto = tiny(
        between("b = Pad(a, amounts, , axes)"), opset=18, amounts=[1, 2], axes=[-1], **WEIGHTS
    )
    channels = analyse(proto)
    assert worst_difference(proto, channels, keep(channels, c1=[0, 4])) < 1e-5


@pytest.mark.parametrize("axis", [1, -3])
def test_resize_to_sizes_of_named_axes(axis: int):
    resize = f"b = Resize<axes=[{axis}, 2, 3]>(a, , , sizes)"
    proto = tiny(between(resize), opset=18, sizes=[6, 16, 16], **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "Resize Resize_1 names channels"
    spatial = tiny(
        between("b = Resize<axes=[2, 3]>(a, , , sizes)"), opset=18, sizes=[16, 16], **WEIGHTS
    )
    channels = analyse(spatial)
    assert worst_difference(spatial, channels, keep(channels, c1=[0, 4])) < 1e-5
