"""Writing into a tensor: what is written goes with what it replaces, and indices are renumbered."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from tests.graph.rules.between import WEIGHTS
from tests.graph.tiny import keep, reasons, run, tiny, widths, worst_difference

IN_FRONT = """
    [c1] a = Conv(x, w1)
    [c3] d = Conv(x, w3)
    t = Transpose <perm = [1, 0, 2, 3]> (a)
    u = Transpose <perm = [1, 0, 2, 3]> (d)
    [s] s = ScatterND (t, i, u)
    b = Transpose <perm = [1, 0, 2, 3]> (s)
    [c2] y = Conv(b, w2)
"""


def test_written_channels_go_with_those_they_replace() -> None:
    proto = tiny(IN_FRONT, i=np.array([[4], [-6], [2]]), w3=(3, 3, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3, "c1#2": 3}, "what is replaced, and what is not"
    (replaced,) = (g for g in channels.groups if "c3" in g.nodes)
    (kept,) = (g for g in channels.prunable if g is not replaced)
    plan = keep(channels, **{replaced.name: [0, 2], kept.name: [1]})
    assert worst_difference(proto, channels, plan) < 1e-5
    # 0, 4 and 3 of the six stay: of the places 4, 0 and 2 the last is gone, and 4 is now 2.
    assert initializers(slice_graph(proto, channels, plan))["i"].tolist() == [[2], [0]]


def grid(*places: list[int]) -> np.ndarray:
    return np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).astype(np.int64)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_every_index_may_be_written_out(depth: int) -> None:
    """As TorchScript's exporter does it: one index for every element."""
    body = """
        [c1] a = Conv(x, w1)
        [c3] d = Conv(x, w3)
        [s] b = ScatterND (a, i, d)
        [c2] y = Conv(b, w2)
    """
    axes = [[0], [1, 3, 5], list(range(8)), list(range(8))][:depth]
    proto = tiny(body, i=grid(*axes), w3=(3, 3, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3, "c1#2": 3}
    (replaced,) = (g for g in channels.groups if "c3" in g.nodes)
    (kept,) = (g for g in channels.prunable if g is not replaced)
    plan = keep(channels, **{replaced.name: [0, 2], kept.name: [0]})
    assert worst_difference(proto, channels, plan) < 1e-5
    found = initializers(slice_graph(proto, channels, plan))["i"]
    assert np.array_equal(found, grid(axes[0], [1, 2], *axes[2:]))


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max"])
def test_places_are_written_in_all_channels(reduction: str) -> None:
    """A patch of a picture: rows 2 to 4, every second column."""
    body = f"""
        [c1] a = Conv(x, w1)
        [c3] d = Conv(x, w3)
        e = Slice(d, zero, three, two)
        f = Slice(e, zero, four, axis3)
        t = Transpose <perm = [2, 3, 0, 1]> (a)
        u = Transpose <perm = [2, 3, 0, 1]> (f)
        s = ScatterND <reduction = "{reduction}"> (t, i, u)
        b = Transpose <perm = [2, 3, 0, 1]> (s)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(
        body,
        opset=18,
        i=grid([2, 3, 4], [0, 2, 4, 6]),
        zero=[0],
        three=[3],
        four=[4],
        two=[2],
        axis3=[3],
        w3=(6, 3, 1, 1),
        **WEIGHTS,
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[2, 3])) < 1e-5


def test_scattered_places_are_written_in_all_channels() -> None:
    body = """
        [c1] a = Conv(x, w1)
        t = Transpose <perm = [2, 3, 0, 1]> (a)
        m = Reshape (t, flat)
        g = Gather <axis = 0> (m, j)
        h = Neg (g)
        s = ScatterND (t, i, h)
        b = Transpose <perm = [2, 3, 0, 1]> (s)
        [c2] y = Conv(b, w2)
    """
    places = np.array([[1, 1], [5, 2], [0, 7]])
    proto = tiny(body, i=places, j=[9, 42, 7], flat=[64, 1, 6], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[2, 3])) < 1e-5


def test_a_constant_follows_what_is_written_over_it() -> None:
    """Zeros that are filled part by part."""
    body = """
        [c1] a = Conv(x, w1)
        [c3] d = Conv(x, w3)
        s = ScatterND (zeros, i, a)
        b = ScatterND (s, j, d)
        [c2] y = Conv(b, w2)
    """
    whole = list(range(8))
    proto = tiny(
        body,
        zeros=np.zeros((1, 8, 8, 8), np.float32),
        i=grid([0], [0, 2, 4, 6], whole),
        j=grid([0], [1, 3, 5], whole),
        w1=(4, 3, 1, 1),
        w3=(3, 3, 1, 1),
        w2=(3, 8, 1, 1),
    )
    channels = analyse(proto)
    assert {n: w for n, w in widths(channels).items() if n in ("c1", "c3")} == {"c1": 4, "c3": 3}
    plan = keep(channels, c1=[0, 3], c3=[1])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert run(slice_graph(proto, channels, plan))[0].shape == (1, 3, 8, 8)


def test_a_constant_that_is_written_follows_the_channels() -> None:
    body = """
        [c1] a = Conv(x, w1)
        b = ScatterND (a, i, new)
        [c2] y = Conv(b, w2)
    """
    new = np.random.default_rng(0).random((1, 2, 8, 8), np.float32)
    proto = tiny(body, i=grid([0], [1, 4]), new=new, **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, **{name: [0, 1] for name in widths(channels)})
    assert worst_difference(proto, channels, plan) < 1e-5


ELEMENTS = """
    [c1] a = Conv(x, w1)
    [c3] d = Conv(x, w3)
    [s] b = ScatterElements <axis = {axis}> (a, i, d)
    [c2] y = Conv(b, w2)
"""


def test_elements_along_channels() -> None:
    places = np.broadcast_to(np.array([4, 0, -4]).reshape(1, 3, 1, 1), (1, 3, 8, 8)).copy()
    proto = tiny(ELEMENTS.format(axis=1), i=places, w3=(3, 3, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3, "c1#2": 3}
    (replaced,) = (g for g in channels.groups if "c3" in g.nodes)
    (kept,) = (g for g in channels.prunable if g is not replaced)
    plan = keep(channels, **{replaced.name: [0, 1], kept.name: [2]})
    assert worst_difference(proto, channels, plan) < 1e-5
    found = initializers(slice_graph(proto, channels, plan))["i"]
    assert found.shape == (1, 2, 8, 8)


def test_elements_along_places() -> None:
    places = np.random.default_rng(0).permuted(np.tile(np.arange(8), (1, 6, 8, 1)), axis=3)
    proto = tiny(ELEMENTS.format(axis=3), i=places, w3=(6, 3, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    plan = keep(channels, c1=[1, 5])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert np.array_equal(initializers(slice_graph(proto, channels, plan))["i"], places[:, [1, 5]])


def test_elements_in_another_order_for_every_pixel_freeze_channels() -> None:
    places = np.random.default_rng(0).permuted(np.tile(np.arange(6), (1, 8, 8, 1)), axis=3)
    places = places.transpose(0, 3, 1, 2)
    proto = tiny(ELEMENTS.format(axis=1), i=places, w3=(6, 3, 1, 1), **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "ScatterElements s writes channels one by one"


def test_computed_places_freeze_channels() -> None:
    inputs = "float[1,3,8,8] x, int64[1,6,8,8] i"
    proto = tiny(ELEMENTS.format(axis=1), inputs=inputs, w3=(6, 3, 1, 1), **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "ScatterElements s writes at computed places"


def test_channels_at_scattered_places_are_frozen() -> None:
    body = """
        [c1] a = Conv(x, w1)
        [c3] e = Conv(x, w3)
        d = Reshape(e, four)
        [s] b = ScatterND (a, i, d)
        [c2] y = Conv(b, w2)
    """
    diagonal = np.array([[[0, 0], [0, 1]], [[0, 2], [0, 1]]])
    proto = tiny(body, i=diagonal, four=[2, 2, 8, 8], w3=(4, 3, 1, 1), **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "ScatterND s writes channels at scattered places"
