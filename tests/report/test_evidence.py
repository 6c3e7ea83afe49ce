from pathlib import Path

import pytest

from decig import records
from decig.errors import BadInputError
from decig.report.evidence import Evidence, Several, is_several
from tests.report.runs import COMMAND, write_run, write_several


def test_a_finished_run_has_everything(tmp_path: Path) -> None:
    found = Evidence.read(write_run(tmp_path / "run"))
    assert found.finished and found.missing == []
    assert found.kept == {"c1": 4, "c2": 3}
    assert found.figures.params is not None and found.figures.params.after == 9000
    assert found.recorded is not None and found.recorded.arguments == COMMAND
    assert found.device is not None and len(found.curve) == 30


def test_a_run_of_an_older_decig_lacks_records(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    for name in (
        records.CURVE_FILE,
        records.PLANNING_FILE,
        records.GROUPS_FILE,
        records.NODES_FILE,
        records.PICTURES_FILE,
        records.SESSIONS_FILE,
        "profile.json",
        "run.toml",
    ):
        (folder / name).unlink()
    found = Evidence.read(folder)
    assert found.finished and len(found.missing) == 7
    assert found.device is not None, "run.json says it too"


@pytest.mark.parametrize("gone", ["report.json", "student.onnx"])
def test_a_run_that_has_not_finished_misses_nothing_yet(tmp_path: Path, gone: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / gone).unlink()
    found = Evidence.read(folder)
    assert not found.finished and found.missing == []


def test_a_run_that_could_go_on_has_not_finished(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "state").mkdir()
    assert not Evidence.read(folder).finished


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no run of decig compress: it holds no run.json"):
        Evidence.read(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["run.json", "report.json", "profile.json", "plan.json", "groups.json", "planning.json",
     "nodes.json", "pictures.json", "sessions.json", "run.toml"],
)  # fmt: skip
@pytest.mark.parametrize("content", ["{", "3", '"text"'])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    folder = write_run(tmp_path / "run")
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadInputError, match=name):
        Evidence.read(folder)


def test_several_targets_are_read_in_their_order(tmp_path: Path) -> None:
    folder = write_several(tmp_path / "all")
    assert is_several(folder) and not is_several(folder / "4x")
    found = Several.read(folder)
    assert list(found.runs) == ["2x", "4x", "8x"]
    assert [run.finished for run in found.runs.values()] == [True, True, False]
    assert [member.target for member in found.frontier.targets] == ["2x", "4x"]


def test_several_targets_of_which_none_is_done(tmp_path: Path) -> None:
    folder = write_several(tmp_path / "all")
    (folder / records.FRONTIER_FILE).unlink()
    assert Several.read(folder).frontier.targets == []


def test_a_run_of_train_is_told_what_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(BadInputError, match=r"a run of decig train, and .* decig compress$"):
        Evidence.read(tmp_path)
    for name in ("hinges.svg", "report.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(BadInputError, match=r"to look at: report.json, hinges.svg$"):
        Evidence.read(tmp_path)
