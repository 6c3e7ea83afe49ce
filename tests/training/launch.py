"""Runs a function in several processes that train together, as torchrun starts them."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def launched(*command: Any, count: int = 2) -> subprocess.CompletedProcess[str]:
    """Run `python -m ...` in several processes, each with one thread, over gloo."""
    paths = [str(ROOT), str(ROOT / "toolchain"), *os.environ.get("PYTHONPATH", "").split(":")]
    environment = os.environ | {"PYTHONPATH": ":".join(paths), "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return subprocess.run(
        [sys.executable, *torchrun, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=300,
        check=False,
    )


def together(module: str, function: str, folder: Path) -> None:
    """Call a function of a test module with a folder, in two processes; it must not fail."""
    done = launched("tests.training.launch", module, function, folder)
    assert done.returncode == 0, done.stderr[-4000:]


if __name__ == "__main__":
    _module, _function, _folder = sys.argv[1:]
    getattr(importlib.import_module(_module), _function)(Path(_folder))
