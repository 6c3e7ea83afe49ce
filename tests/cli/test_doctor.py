"""`decig doctor`, and the completion of commands in a shell."""

import json
import os
import subprocess
import sys

import onnxruntime as ort
import pytest

from decig.report import installation
from tests.samples import call, decig


def test_json_says_what_is_there_and_what_is_wrong() -> None:
    found = call("doctor")
    assert found["problems"] == []
    assert found["providers"]["cpu"] == "runs"
    assert {package["name"] for package in found["packages"]} >= {"onnx", "onnxruntime"}
    assert found["extras"]["train"]["complete"]


def test_people_see_the_same() -> None:
    result = decig("doctor")
    assert result.exit_code == 0, result.stderr
    for text in (ort.get_device().lower(), "runs", "decig[train]", "MiB available", "matrix"):
        assert text in result.stdout


def test_an_installation_that_cannot_work_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = installation.Tried("cpu", True, "it fails")
    monkeypatch.setattr(installation, "_try", lambda _: broken)
    result = decig("doctor", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"] == ["it fails"]
    assert result.stderr == "decig: error: it fails\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [("decig co", "compress"), ("decig compress --target-l", "--target-latency")],
)
def test_a_shell_completes_commands_and_options(words: str, offered: str) -> None:
    environment = os.environ | {
        "_DECIG_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    program = "from decig.cli.main import main; main()"
    command = [sys.executable, "-W", "error", "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert f"plain,{offered}" in result.stdout.splitlines(), result.stderr
