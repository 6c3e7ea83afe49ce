"""The workflows of docs/ci run as they stand, in a shell, on small models."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

from tests.samples import PIXELS, call, generator, write_photos

DOCS = Path(__file__).resolve().parents[2] / "docs" / "ci"


def github(text: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """The commands of a workflow of GitHub Actions, and its variables."""
    [job] = text["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step], text["env"]


def gitlab(text: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """The commands of a job of GitLab CI, and its variables."""
    [job] = text.values()
    return [*job["before_script"], *job["script"]], job["variables"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository that holds a model, its slim copy, and photos; and tools for the shell."""
    folder, tools = tmp_path / "project", tmp_path / "tools"
    tools.mkdir()
    photos = write_photos(folder / "photos")
    onnx.save(generator(3, 64, 48), folder / "teacher.onnx")
    asked = ("--repair", photos, *PIXELS)
    call("slice", folder / "teacher.onnx", "-o", folder / "small.onnx", "--keep", 0.5, *asked)
    programs = {"decig": f'exec "{sys.executable}" -m decig "$@"', "pip": 'echo "$@" > pip.txt'}
    for name, text in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(("file", "read"), [("github.yml", github), ("gitlab-ci.yml", gitlab)])
def test_a_workflow_runs_and_leaves_its_files(project: Path, file: str, read: Any) -> None:
    commands, variables = read(yaml.safe_load((DOCS / file).read_text()))
    environment = (
        os.environ
        | variables
        | {
            "PATH": f"{project.parent / 'tools'}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": "summary.md",
        }
    )
    for command in commands:
        shell = ["bash", "-euo", "pipefail", "-c", command]
        done = subprocess.run(
            shell, cwd=project, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    asked = f"install -c constraints.txt {variables['DECIG']}\n"
    assert (project / "pip.txt").read_text() == asked
    assert variables["DECIG"].startswith("decig @ git+https://")  # it is on no package index
    suite = ET.parse(project / "junit.xml").getroot()
    assert suite.get("failures") == "0"
    assert {case.get("name") for case in suite.iter("testcase")} == {
        "pictures",
        "--min-speedup 1.2",
        "--min-ssim 0.5",
    }
    assert (project / "summary.md").read_text().startswith("### decig check: ")
