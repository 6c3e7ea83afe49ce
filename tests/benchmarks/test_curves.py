from pathlib import Path
from xml.etree import ElementTree

import curves
import pytest
from curves import Notes, draw, read


def test_what_is_noted_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_NOTE_EVERY_S", 0.0)
    for _ in range(2):  # a part that goes on adds to the file
        notes = Notes(tmp_path / "curves.csv")
        notes.add({"loss": 1.5, "ssim": 0.25})
        notes.add({"loss": 1.0})
    found = read(tmp_path / "curves.csv")
    assert [value for _, value in found["loss"]] == [1.5, 1.0, 1.5, 1.0]
    assert [value for _, value in found["ssim"]] == [0.25, 0.25]
    assert read(tmp_path / "nothing.csv") == {}


def test_figures_that_follow_at_once_are_left_out(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "curves.csv")
    notes._noted = -1000.0
    notes.add({"loss": 1.0})
    notes.add({"loss": 2.0})
    assert len(read(tmp_path / "curves.csv")["loss"]) == 1


def test_diagrams_show_every_curve_that_has_points(tmp_path: Path) -> None:
    file = tmp_path / "curves.svg"
    draw({"a": {"x": [(0, 1), (2, 3)], "none": []}, "empty": {"none": []}}, file)
    svg = ElementTree.parse(file).getroot()
    lines = svg.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert [line.get("points") for line in lines] == ["0.0,200.0 640.0,0.0"]
    texts = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "a" in texts and "x" in texts and "empty" not in texts
