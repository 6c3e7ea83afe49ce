"""Plans: files, checks, widths."""

import json
from pathlib import Path

import numpy as np
import pytest

from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, analyse
from decig.graph.plan import Plan, plan_from_widths, uniform_widths
from tests.graph.tiny import tiny


@pytest.fixture(scope="module")
def channels() -> ChannelMap:
    body = "[c1] a = Conv(x, w1)\n [c2] b = Conv(a, w2)\n [c3] y = Conv(b, w3)"
    return analyse(tiny(body, w1=(5, 3, 1, 1), w2=(4, 5, 1, 1), w3=(3, 4, 1, 1)))


def test_a_plan_survives_its_file(tmp_path: Path):
    plan = Plan("abc", {"c1": [0, 3], "c2": [1]})
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert json.loads((tmp_path / "plan.json").read_text()) == {
        "schema_version": 1,
        "model_sha256": "abc",
        "keep": {"c1": [0, 3], "c2": [1]},
    }


def test_a_written_plan_may_be_unsorted(tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text('{"schema_version": 1, "model_sha256": "", "keep": {"c1": [3, 0, 3]}}')
    assert Plan.load(path).keep == {"c1": [0, 3]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[]", "expected `object`, not []"),
        ("{}", "schema_version is missing"),
        ('{"schema_version": 2}', "schema_version: expected one of 1, not 2"),
        ('{"schema_version": 1}', "keep is missing"),
        ('{"schema_version": 1, "keep": [1]}', "keep: expected `object`, not [1]"),
        ('{"schema_version": 1, "keep": {"c1": 3}}', "keep.c1: expected `array`, not 3"),
        ('{"schema_version": 1, "keep": {"c1": [0.5]}}', "keep.c1[0]: expected `int`, not 0.5"),
        ('{"schema_version": 1, "keep": {"c1": [true]}}', "keep.c1[0]: expected `int`, not True"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(BadInputError) as caught:
        Plan.load(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(BadInputError, match=r"nowhere\.json: cannot read this plan"):
        Plan.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"c9": [0]}, "a group 'c9' that the model lacks"),
        ({"c1": []}, "group 'c1': give one or more indices from 0 to 4"),
        ({"c1": [5]}, "group 'c1': give one or more indices from 0 to 4"),
        ({"c1": [-1, 2]}, "group 'c1': give one or more indices from 0 to 4"),
        ({"c3": [0]}, "group 'c3' cannot be cut: graph output y"),
    ],
)
def test_a_plan_that_does_not_fit(channels: ChannelMap, keep: dict, message: str):
    with pytest.raises(BadInputError, match=message):
        Plan("abc", keep).require_fits(channels, "abc")


def test_a_plan_for_another_model(channels: ChannelMap):
    with pytest.raises(BadInputError, match="another model"):
        Plan("abc", {}).require_fits(channels, "abd")


def test_a_plan_that_fits(channels: ChannelMap):
    Plan("abc", {"c1": [0, 4], "c3": [0, 1, 2]}).require_fits(channels, "abc")


def test_uniform_widths_round_up(channels: ChannelMap):
    wide = analyse(
        tiny("[c1] a = Conv(x, w1)\n [c2] y = Conv(a, w2)", w1=(15, 3, 1, 1), w2=(3, 15, 1, 1))
    )
    assert uniform_widths(wide, 0.5) == {"c1": 8}
    assert uniform_widths(wide, 1.0) == {"c1": 15}
    # 0.6 * 15 is 9.000000000000002 in floating point.
    assert uniform_widths(wide, 0.2 + 0.4) == {"c1": 9}


def test_no_share_leaves_fewer_channels_than_the_floor(channels: ChannelMap):
    assert uniform_widths(channels, 0.5) == {"c1": 4, "c2": 4}
    assert uniform_widths(channels, 0.01) == {"c1": 4, "c2": 4}


def test_the_floor_counts_the_channels_that_go_together():
    """16 channels in 4 groups: each of the 4 that can go stands for 4."""
    body = "[c1] a = Conv(x, w1)\n [c2] b = Conv<group=4>(a, w2)\n [c3] y = Conv(b, w3)"
    proto = tiny(body, w1=(16, 3, 1, 1), w2=(16, 4, 1, 1), w3=(3, 16, 1, 1))
    assert uniform_widths(analyse(proto), 0.5) == {"c1": 2, "c2": 2}


def test_plan_from_widths_keeps_the_best(channels: ChannelMap):
    scores = {"c1": np.array([1.0, 5, 2, 4, 3]), "c2": np.ones(4)}
    plan = plan_from_widths(channels, {"c1": 2, "c2": 3}, scores, "abc")
    assert plan == Plan("abc", {"c1": [1, 3], "c2": [0, 1, 2]})


def test_plan_from_widths_leaves_unnamed_groups_whole(channels: ChannelMap):
    scores = {"c1": np.arange(5), "c2": np.arange(4)}
    plan = plan_from_widths(channels, {"c1": 1}, scores, "")
    assert plan.keep == {"c1": [4], "c2": [0, 1, 2, 3]}
