import time

import pytest

from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.device.run.timing import Latency, Timing, measure_interleaved, time_with_processor_share
from decig.errors import BadInputError
from decig.schema import convert
from tests.device.graphs import style_net


def test_summary_of_samples():
    found = Latency.from_samples([3.0, 1.0, 2.0, 100.0, 2.0])
    assert (found.median, found.mad, found.runs) == (2.0, 1.0, 5)
    assert found.p90 > found.median
    assert found.median_ms == pytest.approx(0.002)


def test_another_pace_changes_every_time():
    assert Latency(300, 3, 330, 9).scaled(0.5) == Latency(150, 1.5, 165, 9)


def test_json_round_trip():
    found = Latency(1234.5, 10.0, 1300.0, 17)
    assert convert(found.to_dict(), Latency, "t") == found


@pytest.mark.parametrize(
    "change", [{"mad": None}, {"p90": -1.0}, {"runs": "x"}, {"median": True}, {"median": 0}]
)
def test_bad_json_names_the_key(change):
    value = Latency(1.0, 0.1, 1.2, 5).to_dict() | change
    with pytest.raises(BadInputError, match=rf"t\.json: {next(iter(change))}: expected"):
        convert(value, Latency, "t.json")


def test_zero_is_no_latency_though_denormals_count_as_zero():
    session = Device.of().open(style_net())
    session.run(None, random_feeds(session))
    with pytest.raises(BadInputError, match="median: expected `float` > 0, not 0"):
        convert({"median": 0.0, "mad": 0.0, "p90": 0.0, "runs": 1}, Latency, "t.json")


def test_calls_take_turns():
    seen = []
    calls = {"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}
    found = measure_interleaved(calls, Timing(min_runs=3, max_runs=3, warm_up=1))
    assert seen == ["a", "b"] * 4
    assert {name: latency.runs for name, latency in found.items()} == {"a": 3, "b": 3}


def test_stops_when_firm_or_out_of_time():
    steady = measure_interleaved({"a": lambda: time.sleep(0.002)}, Timing(min_runs=4, firm=0.5))
    assert steady["a"].runs == 4
    short = Timing(min_runs=2, max_seconds=0.0, firm=0.0)
    hasty = measure_interleaved({"a": lambda: None}, short)
    assert hasty["a"].runs == 2


def test_processor_share_of_work_and_of_sleep():
    assert 0.0 < time_with_processor_share(lambda: sum(range(200_000)), 1)[1] <= 1.0
    asleep_us, share = time_with_processor_share(lambda: time.sleep(0.05), 1)
    assert asleep_us >= 50_000
    assert share < 0.5
