import json
from xml.etree import ElementTree

import pytest

from decig.errors import BadInputError
from decig.report import hinges
from decig.report.hinges import draw_hinges, read_hinges


@pytest.fixture
def run(tmp_path):
    groups = {
        "stem.weight": {
            "magnitudes": [3.0, 2.5, 0.5, 0.0],
            "hinge": 2,
            "channels": {"before": 4, "after": 3},
        },
        "head.weight": {
            "magnitudes": [1.0, 1.0],
            "hinge": None,
            "channels": {"before": 2, "after": 2},
        },
    }
    found = {"schema_version": 1, "generators": {"generator": groups}}
    (tmp_path / "hinges.json").write_text(json.dumps(found))
    return tmp_path


def test_curves_are_read(run):
    curves = read_hinges(run)["generator"]
    assert curves["stem.weight"].hinge == 2 and curves["stem.weight"].channels.after == 3
    assert curves["head.weight"].hinge is None


def test_every_group_is_drawn_with_its_hinge_and_its_cut_the_same_way_each_time(run):
    pytest.importorskip("matplotlib")
    file = draw_hinges(run)
    text = file.read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert file == run / "hinges.svg"
    for shown in ("generator: stem.weight", "3 of 4", "generator: head.weight", "2 of 2"):
        assert f">{shown}<" in text
    assert text.count(">hinge<") == 1 and text.count(">cut<") == 2
    assert draw_hinges(run).read_text(encoding="utf-8") == text


def test_without_matplotlib_nothing_is_drawn(run, monkeypatch):
    monkeypatch.setattr(hinges, "missing", lambda modules: modules[0])
    assert draw_hinges(run) is None
    assert not (run / "hinges.svg").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not valid JSON"), ('{"generators": {"g": {"a": {}}}}', r"hinges\.json: .*magnitudes")],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    with pytest.raises(BadInputError, match="hinges"):
        read_hinges(tmp_path)
    (tmp_path / "hinges.json").write_text(content)
    with pytest.raises(BadInputError, match=message):
        read_hinges(tmp_path)
