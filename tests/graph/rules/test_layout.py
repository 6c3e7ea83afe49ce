"""Operators that move data: identities move with it, constants are mended."""

import numpy as np
import onnx
import pytest

from decig.graph.channels import ChannelMap, analyse
from decig.graph.flow import attributes
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from graph.tiny import keep, reasons, tiny, widths, worst_difference

WEIGHTS = {"w1": (6, 3, 1, 1), "w2": (3, 6, 1, 1)}


def between(middle: str) -> str:
    """Something between two convolutions: it takes `a` and gives `b`."""
    return f"[c1] a = Conv(x, w1)\n {middle}\n [c2] y = Conv(b, w2)"


def sliced_constant(
    proto: onnx.ModelProto, channels: ChannelMap, name: str, **kept: list[int]
) -> list[int]:
    plan = keep(channels, **kept)
    assert worst_difference(proto, channels, plan) < 1e-5
    return [int(v) for v in initializers(slice_graph(proto, channels, plan))[name]]


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
    body = between("[r] b = Reshape(a, s)")
    proto = tiny(body, inputs="float[1,3,8,8] x, int64[4] s", **WEIGHTS)
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


SPLIT = between("p, q = Split<axis=1>(a, sizes)\n b = Concat<axis=1>(q, p)")


def test_sizes_of_a_split_are_mended():
    proto = tiny(SPLIT, sizes=[2, 4], **WEIGHTS)
    kept = {"c1": [1], "c1#2": [0, 1, 3]}
    assert sliced_constant(proto, analyse(proto), "sizes", **kept) == [1, 3]


def test_a_split_without_sizes_keeps_equal_parts():
    body = SPLIT.replace("(a, sizes)", "(a)")
    proto = tiny(body, **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2])) < 1e-5


def test_before_opset_13_sizes_are_an_attribute():
    body = SPLIT.replace("axis=1>(a, sizes)", "axis=1, split=[2,4]>(a)")
    proto = tiny(body, opset=11, **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, **{"c1#2": [0]})
    node = slice_graph(proto, channels, plan).graph.node[1]
    assert attributes(node)["split"] == [2, 1]
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_split_over_places_passes_channels():
    body = between("p, q = Split<axis=2>(a, sizes)\n b = Concat<axis=2>(q, p)")
    proto = tiny(body, sizes=[3, 5], **WEIGHTS)
    assert sliced_constant(proto, analyse(proto), "sizes", c1=[0]) == [3, 5]


@pytest.mark.parametrize(
    ("bounds", "after"),
    [((1, 4), (1, 3)), ((-5, -2), (1, 3)), ((1, 2**31 - 1), (1, 4)), ((-99, 4), (0, 3))],
)
def test_bounds_of_a_slice_are_mended(bounds: tuple, after: tuple):
    count = len(range(*slice(*bounds).indices(6)))
    body = """
        [c1] a = Conv(x, w1)
        s = Slice(a, starts, ends, axes)
        [c2] p = Conv(s, w2)
        [c3] q = Conv(a, w3)
        y = Add(p, q)
    """
    proto = tiny(
        body,
        w1=(6, 3, 1, 1),
        starts=[0, bounds[0]],
        ends=[8, bounds[1]],
        axes=[2, 1],
        w2=(3, count, 1, 1),
        w3=(3, 6, 1, 1),
    )
    channels = analyse(proto)
    classes = channels.classes_of(channels.ids_of("a")).ravel()
    gone = {3, 5}  # of the six channels of a
    kept = {
        group.name: [
            k for k, label in enumerate(group.classes) if list(classes).index(label) not in gone
        ]
        for group in channels.prunable
    }
    plan = keep(channels, **kept)
    constants = initializers(slice_graph(proto, channels, plan))
    assert (constants["starts"][1], constants["ends"][1]) == after
    assert (constants["starts"][0], constants["ends"][0]) == (0, 8)
    assert worst_difference(proto, channels, plan) < 1e-5


def test_before_opset_10_bounds_are_attributes():
    body = """
        [c1] a = Conv(x, w1)
        s = Slice<starts=[2, 0], ends=[6, 8], axes=[1, 3]>(a)
        [c2] y = Conv(s, w2)
    """
    proto = tiny(body, opset=9, w1=(6, 3, 1, 1), w2=(3, 4, 1, 1))
    channels = analyse(proto)
    plan = keep(channels, c1=[1], **{"c1#2": [0, 3]})
    found = attributes(slice_graph(proto, channels, plan).graph.node[1])
    assert (found["starts"], found["ends"]) == ([1, 0], [3, 8])
    assert worst_difference(proto, channels, plan) < 1e-5


@pytest.mark.parametrize(
    ("steps", "reason"),
    [([2], "Slice s steps over channels"), ([-1], "Slice s steps over channels")],
)
def test_a_slice_with_steps_over_channels_freezes(steps: list, reason: str):
    bounds = ([5], [-99]) if steps[0] < 0 else ([0], [6])
    proto = tiny(
        between("[s] b = Slice(a, starts, ends, axes, steps)"),
        starts=bounds[0],
        ends=bounds[1],
        axes=[1],
        steps=steps,
        w1=(6, 3, 1, 1),
        w2=(3, 6 // abs(steps[0]), 1, 1),
    )
    assert reasons(analyse(proto))["c1"] == reason


def test_a_slice_by_computed_bounds_freezes():
    body = between("[s] b = Slice(a, i, ends)")
    proto = tiny(body, inputs="float[1,3,8,8] x, int64[4] i", ends=[1, 6, 8, 8], **WEIGHTS)
    assert not analyse(proto).prunable


def test_indices_of_a_gather_are_renumbered():
    body = between("b = Gather<axis=1>(a, i)")
    proto = tiny(body, i=[5, -6, 2, 2, -1, 4], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 4, "c1#2": 2}, "what is gathered, and what is not"
    # 0, 2 and 5 of the gathered stay, and 1 and 3, which nobody asks for: 5 is now the last of 5.
    assert sliced_constant(proto, channels, "i", c1=[0, 1, 3]) == [4, 0, 2, 2, 4]


def test_a_gather_of_one_channel_freezes():
    body = """
        [c1] a = Conv(x, w1)
        [g] p = Gather<axis=1>(a, i)
        r = Reshape(p, shape)
        [c2] y = Conv(r, w2)
    """
    proto = tiny(body, i=np.int64(1), shape=[1, 1, 8, 8], w1=(6, 3, 1, 1), w2=(3, 1, 1, 1))
    channels = analyse(proto)
    assert reasons(channels)["c1#2"] == "Gather g picks single channels"
    plan = keep(channels, c1=[2, 3])
    assert initializers(slice_graph(proto, channels, plan))["i"] == 0
    assert worst_difference(proto, channels, plan) < 1e-5


def test_queries_keys_and_values_picked_from_one_tensor():
    body = """
        [c1] a = Conv(x, w1)
        r = Reshape(a, apart)
        q = Gather<axis=1>(r, first)
        k = Gather<axis=1>(r, last)
        m = Mul(q, k)
        [c2] y = Conv(m, w2)
    """
    more = {"apart": [1, 2, 4, 8, 8], "first": np.int64(0), "last": np.int64(-1)}
    proto = tiny(body, w1=(8, 3, 1, 1), w2=(3, 4, 1, 1), **more)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 4}
    assert worst_difference(proto, channels, keep(channels, c1=[1, 2])) < 1e-5


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


def test_slices_count_axes_from_the_end():
    proto = tiny(
        between("b = Slice(a, starts, ends, axes)"),
        starts=[1, 0],
        ends=[5, 4],
        axes=[-3, -1],
        w1=(6, 3, 1, 1),
        w2=(3, 4, 1, 1),
    )
    channels = analyse(proto)
    assert sliced_constant(proto, channels, "ends", **{"c1#2": [0, 2]}) == [3, 4]


def test_gather_of_a_single_channel_keeps_its_rank():
    body = """
        [c1] a = Conv(x, w1)
        g = Gather<axis=1>(a, place)
        u = Unsqueeze(g, axis)
        b = Mul(a, u)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(body, place=np.array(3), axis=[1], **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, c1=[0, 4])
    assert initializers(slice_graph(proto, channels, plan))["place"].shape == ()
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
