from dataclasses import replace
from pathlib import Path

import pytest

from decig.report import verdict
from decig.report.evidence import Evidence
from tests.report.runs import write_run


def read(tmp_path: Path, **changes: object) -> Evidence:
    return Evidence.read(write_run(tmp_path / "run", **changes))


def tile(found: verdict.Verdict, title: str) -> verdict.Tile:
    return next(each for each in found.tiles if each.title.startswith(title))


def test_a_target_that_was_met(tmp_path: Path) -> None:
    found = verdict.judge(read(tmp_path))
    assert found.headline == "4.10 times faster: 16.0\xa0ms became 3.9\xa0ms"
    assert (found.state, found.mark) == (verdict.MET, "✓")
    assert found.answer == "met: 4.00 ms were asked for"
    assert tile(found, "Latency").lines == [
        "±0.03 ms in half of 20 runs",
        "the original 16.00 ms",
        "±0.09 ms in half of 20 runs",
    ]
    assert tile(found, "Likeness").value == "0.910"
    assert "worst picture 0.850" in tile(found, "Likeness").lines
    assert tile(found, "Parameters").value == "9 k"
    assert "40 k before, 4.4 times as many" in tile(found, "Parameters").lines
    assert "file of 0.04 MB" in tile(found, "Parameters").lines
    assert tile(found, "Multiply").value == "1.6 M"
    assert tile(found, "Training").value == "1 min 15 s"
    assert tile(found, "Device").value


@pytest.mark.parametrize(
    ("changes", "state", "answer"),
    [
        ({"measured_latency_ms": 4.04}, verdict.MET, "met: 4.00 ms were asked for"),
        ({"measured_latency_ms": 4.4}, verdict.MISSED, "missed: 10.0% over the 4.00 ms asked for"),
        (
            {"measured_latency_ms": None, "measured_latency_us": None},
            verdict.OPEN,
            "predicted, not measured: 4.00 ms were asked for",
        ),
    ],
)
def test_other_answers(tmp_path: Path, changes: dict, state: str, answer: str) -> None:
    found = verdict.judge(read(tmp_path, **changes))
    assert (found.state, found.answer) == (state, answer)


def test_a_run_without_a_target_or_an_end(tmp_path: Path) -> None:
    run = read(tmp_path)
    free = replace(run, asked=type(run.asked)(method="decig"))
    assert verdict.judge(free).answer == "no latency was asked for"
    found = verdict.judge(replace(run, finished=False))
    assert found.headline == "This run has not finished" and found.state == verdict.OPEN
    assert "decig compress --resume --output-dir" in found.answer


def test_the_way_from_the_original_to_the_result(tmp_path: Path) -> None:
    found = verdict.stages(read(tmp_path))
    assert [(each.kind, each.ms, each.times) for each in found] == [
        ("before", "16.00", "1.00"),
        ("before", "10.00", "1.60"),
        ("after", "3.90", "4.10"),
        ("target", "4.00", "4.00"),
    ]
    assert found[0].share == "1.0000" and found[1].share == "0.6250"


def test_the_spread_is_said_where_it_is_known(tmp_path: Path) -> None:
    run = read(tmp_path)
    assert verdict.spread(run.figures).startswith("Medians. Original: half of 20 runs within ±0.09")
    assert "nine of ten below 4.10 ms" in verdict.spread(run.figures)
    assert verdict.spread(type(run.figures)()) == ""
