import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest

from decig.device.plan.target import Target
from decig.errors import BadInputError
from decig.graph.model import initializers
from decig.training.loop.schedule import Budget
from decig.training.originals.asked import FILE as ASKED_FILE
from decig.training.originals.original import STATE_FILE
from decig.training.runs.run import SCHEMA_VERSION, RunFolder, hold
from tests.device.bench import FakeBench
from tests.training.small import small
from tests.training.tiny import tiny_generator

REQUEST = {"model": {"sha256": "ab"}, "target_ms": 3.5}


def test_a_run_begins_with_its_record(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path / "a" / "run", REQUEST, resume=False)
    assert json.loads(run.file("run.json").read_text()) == {
        "schema_version": SCHEMA_VERSION,
        **REQUEST,
    }
    assert run.file("state").is_dir()
    with pytest.raises(BadInputError, match="holds a run already"):
        RunFolder.open(tmp_path / "a" / "run", REQUEST, resume=False)


def test_the_folder_of_an_original_is_no_place_for_a_compression(tmp_path: Path) -> None:
    for name in (STATE_FILE, ASKED_FILE):
        (tmp_path / name).write_text("")
        for resume in (False, True):
            with pytest.raises(BadInputError, match="holds a run of decig train; use another"):
                RunFolder.check(tmp_path, REQUEST, resume=resume)
        (tmp_path / name).unlink()


def test_only_the_same_request_goes_on(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no run that could go on"):
        RunFolder.open(tmp_path, REQUEST, resume=True)
    RunFolder.open(tmp_path, REQUEST, resume=False)
    assert RunFolder.open(tmp_path, REQUEST, resume=True).path == tmp_path
    with pytest.raises(BadInputError, match="the run there has another target_ms"):
        RunFolder.open(tmp_path, REQUEST | {"target_ms": 3.6}, resume=True)
    with pytest.raises(BadInputError, match="another feeds"):
        RunFolder.open(tmp_path, REQUEST | {"feeds": {}}, resume=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target_ms", 1.0),
        ("budget", Budget(seconds=3.0)),
        ("images", None),
        ("targets", Path("elsewhere")),
        ("feeds", {"code": 0.5}),
        ("fold_norms", True),
    ],
)
def test_a_run_is_not_resumed_for_another_request(field: str, value: Any, tmp_path: Path) -> None:
    asked, folder = small(tmp_path), tmp_path / "run"
    RunFolder.open(folder, asked.record(), resume=False)
    RunFolder.open(folder, asked.record(), resume=True)
    with pytest.raises(BadInputError, match=f"the run there has another {field}"):
        RunFolder.open(folder, asked.but(**{field: value}).record(), resume=True)


def test_a_model_that_was_moved_is_the_same(tmp_path: Path) -> None:
    record = {"model": {"path": "old.onnx", "sha256": "ab"}}
    RunFolder.open(tmp_path, record, resume=False)
    RunFolder.open(tmp_path, {"model": {"path": "new.onnx", "sha256": "ab"}}, resume=True)
    with pytest.raises(BadInputError, match="another model"):
        RunFolder.open(tmp_path, {"model": {"path": "old.onnx", "sha256": "c"}}, resume=True)


def test_what_a_run_needs_to_go_on_is_there_before_its_record(tmp_path: Path) -> None:
    seen = []

    def begun(folder: Path) -> None:
        seen.append((folder, (folder / "run.json").exists()))

    for resume in (False, True):
        RunFolder.open(tmp_path / "run", REQUEST, resume=resume, begun=begun)
    assert seen == [(tmp_path / "run", False)]


HOLDER = """
import pathlib, sys, time
from decig.training.runs.run import hold
with hold(pathlib.Path(sys.argv[1])) as take:
    take()
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with hold(tmp_path) as take, pytest.raises(BadInputError, match="another process is at"):
            take()
        other.kill()
    with hold(tmp_path) as take:
        take()
        take()  # the second time it does nothing


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock")]
)
def test_a_file_system_without_locks_is_named(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)
    with hold(tmp_path) as take, pytest.raises(BadInputError, match="file system has no locks"):
        take()


def test_states_that_a_killed_process_left_half_written_are_removed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    left = [tmp_path / ".state.pt.ab12cd_3", tmp_path / "state" / ".stage2.pt.ab12cd_3"]
    kept = [tmp_path / ".mine.pt.old", tmp_path / ".report.json.ab12cd_3", tmp_path / "state.pt"]
    for file in (*left, *kept):
        file.write_bytes(b"half")
    with hold(tmp_path) as take:
        assert all(file.exists() for file in left)
        take()
    assert not any(file.exists() for file in left) and all(file.exists() for file in kept)


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with hold(tmp_path / "file") as take, pytest.raises(BadInputError, match="file: not written:"):
        take()


def test_what_does_not_change_the_student_is_not_recorded(tmp_path: Path) -> None:
    asked = small(tmp_path)
    busy = Target(asked.goal.target.table, FakeBench(lambda _: 1.0), ("busy",))
    assert asked.but(resume=True, target=busy).record() == asked.record()
    assert asked.but(settings={"crop": 8}).record() != asked.record()


def test_a_folder_that_cannot_hold_a_run_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(BadInputError, match=r"not written: \S+file is no folder"):
            RunFolder.check(place, REQUEST, resume=False)
    RunFolder.check(tmp_path / "a" / "b", REQUEST, resume=False)
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(BadInputError, match="not written: Permission denied"):
        RunFolder.check(tmp_path / "a" / "b", REQUEST, resume=False)


def test_graphs_are_steps_that_are_done(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, REQUEST, resume=False)
    assert not run.done("start.onnx")
    proto = tiny_generator()
    run.save_graph("start.onnx", proto)
    assert run.done("start.onnx") and not run.done("start.onnx", "plan.json")
    found, wanted = initializers(run.load_graph("start.onnx").proto), initializers(proto)
    assert found.keys() == wanted.keys()
    assert all((array == wanted[name]).all() for name, array in found.items())


def test_figures_add_up(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, REQUEST, resume=False)
    assert run.add_figures({"ssim": 0.5, "steps": 3}) == {
        "schema_version": SCHEMA_VERSION,
        "ssim": 0.5,
        "steps": 3,
    }
    assert run.add_figures({"ssim": 0.7})["steps"] == 3
    assert json.loads(run.file("report.json").read_text())["ssim"] == 0.7


def test_a_finished_run_has_no_state(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, REQUEST, resume=False)
    (run.file("state") / "stage2.pt").write_bytes(b"weights")
    run.finish()
    assert not run.file("state").exists() and run.file("run.json").exists()
    run.finish()  # once more does no harm
