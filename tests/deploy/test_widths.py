import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.deploy.widths import few, odd_widths, share_widths
from decig.graph.channels import Group


def group(name, channels, copies=1, prunable=True):
    return Group(name, np.arange(channels), prunable, "", True, [], copies)


@dataclass
class Channels:
    """Channel groups without a graph."""

    groups: list[Group] = field(default_factory=list)

    @property
    def prunable(self):
        return [each for each in self.groups if each.prunable]


class StairsOf8:
    """A predictor whose time rises every 8 channels of a group."""

    def __init__(self, **groups):
        self.groups = groups
        self.candidates = {
            name: sorted({*range(8, full, 8), full}) for name, full in groups.items()
        }

    def predict_many(self, widths):
        return 1000.0 * np.ceil(widths / 8).sum(axis=1)

    def predict_ms(self, widths):
        row = [[widths.get(name, full) for name, full in self.groups.items()]]
        return float(self.predict_many(np.array(row))[0]) / 1000


def test_without_a_table_widths_are_multiples_of_four():
    """The widths that a U-Net was left with by a share of 0.7: 12, 23 and 45."""
    channels = Channels([group("a", 16), group("b", 32), group("c", 64)])
    widths, notices = share_widths(channels, 0.7, None, None)
    assert widths == {"a": 12, "b": 24, "c": 48}
    assert notices == ("b, c: wider than this share, up to a multiple of 4 channels",)


def test_exactly_the_share_says_what_odd_widths_cost():
    channels = Channels([group("a", 16), group("b", 32), group("c", 64)])
    widths, (notice,) = share_widths(channels, 0.7, 1, None)
    assert widths == {"a": 12, "b": 23, "c": 45}
    assert notice.startswith("b (23), c (45): no multiple of 4 channels; kernels compute channels")


@given(
    sizes=st.lists(st.tuples(st.integers(2, 300), st.sampled_from([1, 2, 3, 4, 9])), max_size=5),
    ratio=st.floats(0.01, 1.0),
    align=st.integers(1, 32),
)
def test_the_tensors_of_all_groups_are_aligned_or_whole(sizes, ratio, align):
    channels = Channels([group(str(i), n, copies) for i, (n, copies) in enumerate(sizes)])
    widths, _ = share_widths(channels, ratio, align, None)
    for each in channels.groups:
        width = widths[each.name]
        assert width >= ratio * each.channels - 1e-6
        assert width == each.channels or width * each.copies % align == 0
        step = align // math.gcd(align, each.copies)
        least = max(ratio * each.channels - 1e-6, min(each.channels, math.ceil(4 / each.copies)))
        assert width - least < step + 1 or width == each.channels


def test_a_group_that_allows_no_multiple_is_whole_and_no_odd_one():
    channels = Channels([group("a", 6)])
    assert share_widths(channels, 0.9, None, None) == ({"a": 6}, ())


def test_a_pixel_shuffle_has_four_channels_for_each_of_the_group():
    channels = Channels([group("a", 30, copies=4)])
    assert share_widths(channels, 0.5, None, None) == ({"a": 15}, ())
    assert odd_widths(channels, {"a": 15}, None) == ()


def test_with_a_table_widths_go_up_to_the_edges_of_the_stairs():
    channels = Channels([group("a", 16), group("b", 32)])
    widths, (notice,) = share_widths(channels, 0.6, None, StairsOf8(a=16, b=32))
    assert widths == {"a": 16, "b": 24}
    assert notice == (
        "a, b: wider than this share, up to the edge of the device's stair; predicted 5 ms instead "
        "of 5 ms"
    )


def test_with_a_table_too_a_multiple_can_be_asked_for():
    channels = Channels([group("a", 16), group("b", 32)])
    widths, notices = share_widths(channels, 0.6, 4, StairsOf8(a=16, b=32))
    assert widths == {"a": 12, "b": 20}
    assert notices[0] == "a: wider than this share, up to a multiple of 4 channels"
    assert notices[1].startswith("a, b: 8 more channels there would take no longer")
    assert "(predicted 5 ms now, 5 ms with them)" in notices[1]
    assert odd_widths(channels, {"a": 8, "b": 24}, StairsOf8(a=16, b=32)) == ()


def test_the_floor_is_named():
    channels = Channels([group("a", 64)])
    widths, (notice,) = share_widths(channels, 0.01, None, None)
    assert widths == {"a": 4}
    assert notice == "a: no share of the channels leaves a group fewer than 4 (a plan can)"


@pytest.mark.parametrize(
    ("count", "text"), [(2, "0, 1"), (3, "0, 1, 2"), (5, "0, 1, 2 and 2 more")]
)
def test_few(count, text):
    assert few([str(i) for i in range(count)]) == text
