import time

import pytest

from decig.device.run.timing import Latency, measure_interleaved, time_and_share
from decig.errors import BadInputError


def test_summary_of_samples():
    found = Latency.from_samples([3.0, 1.0, 2.0, 100.0, 2.0])
    assert (found.median, found.mad, found.runs) == (2.0, 1.0, 5)
    assert found.p90 > found.median
    assert found.median_ms == pytest.approx(0.002)


def test_json_round_trip():
    found = Latency(1234.5, 10.0, 1300.0, 17)
    assert Latency.from_dict(found.to_dict(), "t") == found


@pytest.mark.parametrize(
    "change", [{"mad": None}, {"p90": -1.0}, {"runs": "x"}, {"median": True}, {"median": 0}]
)
def test_bad_json_names_the_key(change):
    value = Latency(1.0, 0.1, 1.2, 5).to_dict() | change
    with pytest.raises(BadInputError, match=rf"t\.json: latency_us\.{next(iter(change))}"):
        Latency.from_dict(value, "t.json: latency_us")


def test_calls_take_turns():
    seen = []
    calls = {"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}
    found = measure_interleaved(calls, min_runs=3, max_runs=3, warm_up=1)
    assert seen == ["a", "b"] * 4
    assert {name: latency.runs for name, latency in found.items()} == {"a": 3, "b": 3}


def test_stops_when_firm_or_out_of_time():
    steady = measure_interleaved({"a": lambda: time.sleep(0.002)}, min_runs=4, firm=0.5)
    assert steady["a"].runs == 4
    hasty = measure_interleaved({"a": lambda: None}, min_runs=2, max_seconds=0.0, firm=0.0)
    assert hasty["a"].runs == 2


def test_processor_share_of_work_and_of_sleep():
    assert 0.0 < time_and_share(lambda: sum(range(200_000)), 1)[1] <= 1.0
    asleep_us, share = time_and_share(lambda: time.sleep(0.05), 1)
    assert asleep_us >= 50_000
    assert share < 0.5
