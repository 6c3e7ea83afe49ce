from pathlib import Path

import pytest

from decig import records
from decig.errors import BadInputError
from decig.records import Point, Session


def point(step: str, at: float, **figures: float) -> Point:
    return Point(step=step, at=at, seconds=1.0, figures=dict(figures))


def test_a_curve_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert records.load_curve(tmp_path) == []
    points = [point("a", 0.0, loss=1.0), point("a", 0.5, loss=0.5), point("b", 0.0, ssim=0.9)]
    for each in points:
        records.add_point(tmp_path, each)
    assert records.load_curve(tmp_path) == points


def test_what_a_resumed_run_does_again_replaces_what_it_did_before(tmp_path: Path) -> None:
    for at in (0.0, 0.2, 0.4, 0.6, 0.3, 0.5):
        records.add_point(tmp_path, point("distil", at, loss=at))
    records.add_point(tmp_path, point("fold norms", 0.1))
    found = [(each.step, each.at) for each in records.load_curve(tmp_path)]
    assert found == [("distil", at) for at in (0.0, 0.2, 0.3, 0.5)] + [("fold norms", 0.1)]


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    records.add_point(tmp_path, point("a", 0.0))
    with (tmp_path / records.CURVE_FILE).open("ab") as lines:
        lines.write(b'{"step": "a", "at"')
    assert records.load_curve(tmp_path) == [point("a", 0.0)]
    records.add_point(tmp_path, point("a", 0.5))  # of the run that goes on
    assert records.load_curve(tmp_path) == [point("a", 0.0), point("a", 0.5)]


def test_a_file_that_holds_a_cut_off_line_alone_begins_anew(tmp_path: Path) -> None:
    (tmp_path / records.CURVE_FILE).write_bytes(b'{"step"')
    records.add_point(tmp_path, point("a", 0.0))
    assert records.load_curve(tmp_path) == [point("a", 0.0)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{half", r"curve.jsonl: line 2 is not valid JSON"),
        ('{"step": "a", "at": 2, "seconds": 0, "figures": {}}', r"curve.jsonl: line 2: at: "),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    records.add_point(tmp_path, point("a", 0.0))
    with (tmp_path / records.CURVE_FILE).open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
    with pytest.raises(BadInputError, match=message):
        records.load_curve(tmp_path)
    (tmp_path / records.CURVE_FILE).write_bytes(b"\xff\xfe\n")
    with pytest.raises(BadInputError, match=r"cannot read this curve"):
        records.load_curve(tmp_path)


def test_records_are_added_once_each(tmp_path: Path) -> None:
    first = Session(began="1", machine="a", versions={"onnx": "1"})
    second = Session(began="2", machine="a", versions={})
    records.add(tmp_path, records.SESSIONS_FILE, Session, [])
    assert records.load(tmp_path, records.SESSIONS_FILE, list[Session]) is None
    records.add(tmp_path, records.SESSIONS_FILE, Session, [first])
    records.add(tmp_path, records.SESSIONS_FILE, Session, [first, second])
    assert records.load(tmp_path, records.SESSIONS_FILE, list[Session]) == [first, second]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / records.NODES_FILE).write_text('{"measured": 3}', encoding="utf-8")
    with pytest.raises(BadInputError, match=r"nodes.json: measured: expected `bool`"):
        records.load(tmp_path, records.NODES_FILE, records.Nodes)
