"""Runs of a benchmark: not repeated, and gone on with after a kill."""

import sys
from pathlib import Path

import jobs
import pytest
from jobs import Job, run_all, said

from decig.errors import DecigError
from decig.files import write_json


def counting(folder: Path, asked: int) -> Job:
    script = f"open({str(folder / 'count')!r}, 'a').write('x')"
    return Job("count", folder / "job", [sys.executable, "-c", script], {"asked": asked})


def test_a_finished_job_is_not_repeated(tmp_path: Path) -> None:
    count = tmp_path / "count"
    run_all([counting(tmp_path, 1)], 1)
    run_all([counting(tmp_path, 1)], 1)
    assert count.read_text() == "x"
    run_all([counting(tmp_path, 2)], 1)
    assert count.read_text() == "xx"
    assert counting(tmp_path, 2).figures()["wall_s"] >= 0


def test_a_failed_job_names_its_log(tmp_path: Path) -> None:
    script = "print('starts'); print('no such thing'); raise SystemExit(3)"
    job = Job("broken", tmp_path / "job", [sys.executable, "-c", script])
    message = r"broken ended with exit code 3 \(no such thing\); see .*log\.txt"
    with pytest.raises(DecigError, match=message):
        run_all([job], 1)
    assert not job.done


def test_what_a_program_prints_and_why_it_failed() -> None:
    assert said(sys.executable, "-c", "import os; print(os.environ['OMP_NUM_THREADS'])") == "1\n"
    with pytest.raises(DecigError, match=r"ended with exit code 1: no such thing$"):
        said(sys.executable, "-c", "import sys; sys.exit('no such thing')")


def dying(folder: Path, asked: int = 1) -> Job:
    """Leaves a state and dies; what goes on with it says so."""
    state, said = folder / "job" / "state", folder / "said"
    first = f"import os; open({str(state)!r}, 'w'); os.kill(os.getpid(), 9)"
    then = f"open({str(said)!r}, 'a').write('went on')"
    commands = [[sys.executable, "-c", script] for script in (first, then)]
    return Job("dying", folder / "job", commands[0], {"asked": asked}, commands[1], state)


def test_a_killed_job_goes_on(tmp_path: Path) -> None:
    job = dying(tmp_path)
    with pytest.raises(DecigError, match="exit code -9"):
        run_all([job], 1)
    assert job.stopped and not job.done
    begun = tmp_path / "job" / "begun.json"
    write_json(begun, {"asked": {"asked": 1}, "wall_s": 1000.0})
    run_all([job], 1)
    assert (tmp_path / "said").read_text() == "went on"
    assert job.done and not job.stopped
    assert job.figures()["wall_s"] >= 1000


def test_a_killed_job_that_was_asked_for_something_else_starts_again(tmp_path: Path) -> None:
    for asked in (1, 2):
        with pytest.raises(DecigError, match="exit code -9"):
            run_all([dying(tmp_path, asked)], 1)
    assert not (tmp_path / "said").exists()


def test_how_long_a_process_runs_is_noted_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_NOTE_EVERY_S", 0.0)
    begun = tmp_path / "job" / "begun.json"
    read = f"json.loads(pathlib.Path({str(begun)!r}).read_text())['wall_s']"
    wait = f"import json, pathlib, time\nwhile not {read}: time.sleep(0.01)"
    run_all([Job("waits", tmp_path / "job", [sys.executable, "-c", wait])], 1)
