"""Channels in the batch: a filter of one channel treats each of them alone."""

import pytest

from decig.graph.channels import analyse
from decig.graph.slicing import slice_graph
from tests.graph.rules.between import WEIGHTS, between
from tests.graph.tiny import keep, reasons, shape_of, tiny, widths, worst_difference


@pytest.mark.parametrize("rows", [[6, 1, 8, 8], [-1, 1, 8, 8]])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("Conv <pads = [1, 1, 1, 1]>", (1, 1, 3, 3)),
        ("ConvTranspose <pads = [1, 1, 1, 1]>", (1, 1, 3, 3)),
    ],
)
def test_one_filter_for_all_channels(rows: list[int], kind: str, shape: tuple) -> None:
    middle = f"r = Reshape(a, rows)\n f = {kind} (r, k, bias)\n b = Reshape(f, back)"
    proto = tiny(between(middle), rows=rows, k=shape, bias=(1,), back=[1, 6, 8, 8], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert channels.group("c1").exact
    plan = keep(channels, c1=[0, 4])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert shape_of(slice_graph(proto, channels, plan), "k") == list(shape)


def test_upsampling_as_stylegan2_writes_it() -> None:
    """upfirdn2d: zeros between the pixels, a border, one filter, every second pixel of it."""
    middle = """
        r = Reshape(a, rows)
        z = Pad(r, zeros)
        w = Reshape(z, wide)
        p = Pad(w, border)
        t = Transpose <perm = [0, 3, 1, 2]> (p)
        q = Reshape(t, single)
        f = Conv (q, k)
        u = Reshape(f, minor)
        v = Transpose <perm = [0, 2, 3, 1]> (u)
        s = Slice(v, start, end, axes, steps)
        b = Reshape(s, back)
    """
    proto = tiny(
        between(middle),
        rows=[-1, 8, 1, 8, 1, 1],
        zeros=[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0],
        wide=[-1, 16, 16, 1],
        border=[0, 2, 2, 0, 0, 1, 1, 0],
        single=[-1, 1, 19, 19],
        k=(1, 1, 4, 4),
        minor=[-1, 1, 16, 16],
        start=[0, 0],
        end=[16, 16],
        axes=[1, 2],
        steps=[2, 2],
        back=[-1, 6, 8, 8],
        **WEIGHTS,
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[1, 2, 5])) < 1e-5


def test_a_filter_that_mixes_some_channels_keeps_these_together() -> None:
    """Two channels a row: the pairs go together."""
    middle = "r = Reshape(a, rows)\n f = Conv (r, k)\n b = Reshape(f, back)"
    proto = tiny(between(middle), rows=[3, 2, 8, 8], k=(2, 2, 1, 1), back=[1, 6, 8, 8], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    plan = keep(channels, c1=[0, 2])
    assert shape_of(slice_graph(proto, channels, plan), "w1") == [4, 3, 1, 1]
    assert worst_difference(proto, channels, plan) < 1e-5


def test_instance_norm_row_by_row() -> None:
    middle = "r = Reshape(a, rows)\n f = InstanceNormalization (r, s, h)\n b = Reshape(f, back)"
    proto = tiny(between(middle), rows=[6, 1, 8, 8], s=(1,), h=(1,), back=[1, 6, 8, 8], **WEIGHTS)
    channels = analyse(proto)
    assert channels.group("c1").exact
    assert worst_difference(proto, channels, keep(channels, c1=[1, 2])) < 1e-5


def test_computed_filters_freeze_what_makes_them() -> None:
    body = """
        [c1] a = Conv(x, w1)
        [c3] d = Conv(x, w3)
        m = GlobalAveragePool(d)
        k = Reshape(m, kernel)
        r = Reshape(a, rows)
        [f] f = Conv <pads = [1, 1, 1, 1]> (r, k)
        b = Reshape(f, back)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(
        body,
        w3=(9, 3, 1, 1),
        kernel=[1, 1, 3, 3],
        rows=[6, 1, 8, 8],
        back=[1, 6, 8, 8],
        **WEIGHTS,
    )
    channels = analyse(proto)
    assert reasons(channels)["c3"] == "weights of Conv f"
    plan = keep(channels, c1=[0, 4])
    assert worst_difference(proto, channels, plan) < 1e-5
