"""Pools keep channels apart; where a maximum was found matters to its own unpooling alone."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from tests.graph.rules.between import WEIGHTS, between
from tests.graph.tiny import keep, reasons, tiny, widths, worst_difference

POOL = "p, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)"


UNPOOLED = f"""
    [c1] a = Conv(x, w1)
    {POOL}
    [c3] d = Conv(p, w3)
    [u] b = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(d, i{{size}})
    [c2] y = Conv(b, w2)
"""


def test_unpooled_channels_go_with_those_that_were_pooled() -> None:
    """SegNet: the way up uses the places of the way down, another layer in between."""
    proto = tiny(UNPOOLED.format(size=""), w3=(6, 6, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}, "the layers on both sides of the pooling"
    assert worst_difference(proto, channels, keep(channels, c1=[0, 3, 4])) < 1e-5


def test_an_unpooling_to_a_named_size_freezes_channels() -> None:
    sized = UNPOOLED.format(size=", size")
    proto = tiny(sized, w3=(6, 6, 1, 1), size=[1, 6, 8, 8], **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "MaxUnpool u names the size of its result"


@pytest.mark.parametrize("use", ["f = Cast<to=1>(i)\n b = Mul(p, f)", "b = Add(p, z)\n n = Neg(i)"])
def test_calculating_with_the_places_freezes_channels(use: str) -> None:
    """They count the elements of all channels."""
    proto = tiny(between(f"{POOL}\n {use}"), z=(6, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    wanted = {} if "Neg" in use else {"c1": "the indices of MaxPool MaxPool_1 count channels"}
    assert {k: v for k, v in reasons(channels).items() if k == "c1"} == wanted
    plan = keep(channels, **{name: [0, 2] for name in widths(channels)})
    assert worst_difference(proto, channels, plan) < 1e-5


def test_constant_places_freeze_channels() -> None:
    places = np.arange(6 * 64).reshape(1, 6, 8, 8)[:, :, ::2, ::2].copy()
    middle = "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)\n"
    middle += "[u] b = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(p, i)"
    proto = tiny(between(middle), i=places, **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "MaxUnpool u puts channels at computed places"
