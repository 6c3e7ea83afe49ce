"""`decig report`: the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from decig import extras
from tests.report.runs import write_run
from tests.samples import call, decig


def test_it_writes_into_the_run_or_where_it_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    result = decig("report", run)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{run / 'report.html'}: 0.")
    (tmp_path / "other.html").write_text("older", encoding="utf-8")
    found = call("report", run, "-o", tmp_path / "other.html")
    assert found["missing"] == [] and found["report"] == str(tmp_path / "other.html")
    assert (tmp_path / "other.html").read_bytes().startswith(b"<!DOCTYPE html>")


def test_what_it_cannot_show_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "curve.jsonl").unlink()
    assert "left out: training curves: the run did not write it down" in decig("report", run).stdout


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "run.json").unlink(), "no run of decig compress"),
        (lambda run: (run / "report.json").write_text("{"), "report.json: this record of a run is"),
        (lambda run: (run / "nodes.json").write_text("[]"), "nodes.json: expected `object`"),
    ],
)
def test_a_folder_that_holds_no_whole_run_is_one_line(
    tmp_path: Path, spoil: "object", message: str
) -> None:
    run = write_run(tmp_path / "run")
    spoil(run)  # type: ignore[operator]
    result = decig("report", run, "--json")
    assert result.exit_code == 2 and not (run / "report.html").exists()
    assert message in json.loads(result.stdout)["error"]
    assert len(result.stderr.splitlines()) == 1


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run")
    result = decig("report", run, "-o", tmp_path / "gone" / "r.html")
    assert result.exit_code == 2 and "its folder is not there" in result.stderr
    # root may write anywhere
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    result = decig("report", run, "-o", tmp_path / "r.html")
    assert result.exit_code == 2 and "Permission denied" in result.stderr
    result = decig("report", run)
    assert result.exit_code == 2 and "Permission denied" in result.stderr


def test_without_its_packages_it_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run")
    monkeypatch.setattr(extras, "missing", lambda modules: modules[-1])
    result = decig("report", run)
    assert result.exit_code == 2
    assert "decig report needs matplotlib: pip install 'decig[report]'" in result.stderr


def test_it_needs_no_torch(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    blocked = (
        "import sys\n"
        "for name in ('torch', 'accelerate', 'filelock'):\n"
        "    sys.modules[name] = None\n"
        "from decig.cli.main import main\n"
        f"main(['report', {str(run)!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").exists()
