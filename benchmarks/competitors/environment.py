"""Make a Python environment of its own for packages that decig's environment should not have.

python -m competitors.environment FOLDER PACKAGE==VERSION...

Nothing of the environment that runs this is changed.
"""

import subprocess
import sys
import venv
from pathlib import Path

OPENVINO = ("openvino==2026.4.1", "nncf==3.4.0")
"""What OpenVINO's environment gets: runtime and quantiser, both without PyTorch."""


def python_of(folder: Path) -> Path:
    """Interpreter of an environment."""
    return folder / "bin" / "python"


def make(folder: Path, packages: list[str]) -> None:
    """Make an environment with these packages; the log of pip goes to standard output."""
    venv.create(folder, with_pip=True)
    command = [str(python_of(folder)), "-m", "pip", "install", "--quiet", *packages]
    if subprocess.run(command).returncode:
        raise SystemExit(f"pip cannot install {', '.join(packages)}")


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2:])
