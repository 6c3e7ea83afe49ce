"""Fourier transforms: every channel by itself."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from tests.graph.rules.between import WEIGHTS, between
from tests.graph.tiny import keep, reasons, tiny, widths, worst_difference

OUTER = """
    u = Unsqueeze(a, last)
    f = DFT {one} (u{n})
    g = DFT {two} (f{m})
    p = Mul(g, g)
    h = DFT {back} (p{m})
    s = Slice(h, zero, one, last)
    b = Squeeze(s, last)
"""


@pytest.mark.parametrize("opset", [17, 20])
def test_a_spectrum_over_height_and_width_passes_channels(opset: int) -> None:
    if opset < 20:
        parts = {"one": "<axis = 2>", "two": "<axis = 3>", "back": "<axis = 3, inverse = 1>"}
        parts |= {"n": "", "m": ""}
    else:
        parts = {"one": "", "two": "", "back": "<inverse = 1>", "n": ", , ax2", "m": ", , ax3"}
    proto = tiny(
        between(OUTER.format(**parts)),
        opset=opset,
        last=[-1],
        zero=[0],
        one=[1],
        ax2=np.int64(2),
        ax3=np.int64(-2),
        **WEIGHTS,
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[1, 4])) < 1e-5


def test_real_and_imaginary_parts_as_channels_go_together() -> None:
    middle = """
        u = Unsqueeze(a, last)
        f = DFT <onesided = 1> (u, , ax3)
        t = Transpose <perm = [0, 1, 4, 2, 3]> (f)
        r = Reshape(t, flat)
        [mix] m = Conv(r, w3)
        n = Relu(m)
        q = Reshape(n, apart)
        v = Transpose <perm = [0, 1, 3, 4, 2]> (q)
        i = DFT <inverse = 1, onesided = 1> (v, eight, ax3)
        b = Squeeze(i, last)
    """
    proto = tiny(
        between(middle),
        opset=20,
        last=[-1],
        ax3=np.int64(3),
        eight=np.int64(8),
        flat=[1, 12, 8, 5],
        w3=(12, 12, 1, 1),
        apart=[1, 6, 2, 8, 5],
        **WEIGHTS,
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6, "mix": 6}
    plan = keep(channels, c1=[0, 3, 5], mix=[1, 2])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_transform_along_channels_is_frozen() -> None:
    middle = "u = Unsqueeze(a, last)\n [f] g = DFT <axis = 1> (u)\n s = Slice(g, zero, one, last)"
    proto = tiny(
        between(f"{middle}\n b = Squeeze(s, last)"), last=[-1], zero=[0], one=[1], **WEIGHTS
    )
    assert reasons(analyse(proto))["c1"] == "DFT f transforms along channels"


def test_a_computed_axis_is_frozen() -> None:
    middle = "u = Unsqueeze(a, last)\n [f] g = DFT (u, , z)\n s = Slice(g, zero, one, last)"
    proto = tiny(
        between(f"{middle}\n b = Squeeze(s, last)"),
        opset=20,
        inputs="float[1,3,8,8] x, int64 z",
        last=[-1],
        zero=[0],
        one=[1],
        **WEIGHTS,
    )
    assert reasons(analyse(proto))["c1"] == "DFT f along a computed axis"
