"""The Python environment that OpenVINO and NNCF get, so that decig's own stays as it is."""

import sys
from pathlib import Path

from competitors.environment import OPENVINO, python_of
from jobs import Command, Job, failure_in, finish
from runtimes import OpenVino

from decig.errors import DecigError

_INSTALL_LIMIT_S = 1800.0
"""Seconds after which making the environment is given up."""


def openvino_job(out: Path) -> Job:
    """The run that makes the environment.

    Args:
        out: folder of all runs of a benchmark.
    """
    folder = out / "openvino"
    command: Command = [
        sys.executable,
        "-m",
        "competitors.environment",
        folder / "environment",
        *OPENVINO,
    ]
    asked = {"packages": list(OPENVINO)}
    return Job("OpenVINO's environment", folder, command, asked, limit_s=_INSTALL_LIMIT_S)


def openvino_python(out: Path, *, make: bool) -> tuple[Path | None, str]:
    """Interpreter of the environment, or why there is none.

    Args:
        out: folder of all runs of a benchmark.
        make: whether the environment is made where it is not there.
    """
    job = openvino_job(out)
    try:
        if make:
            finish("environment", [job], 1)
        if not job.done:
            return None, failure_in(job.folder) or "OpenVINO's environment was not made"
        python = python_of(job.folder / "environment")
        with OpenVino(python):
            return python, ""
    except DecigError as error:
        return None, f"OpenVINO cannot be used: {error}"
