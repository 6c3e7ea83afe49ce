"""What tests/conftest.py promises of all other tests."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import NEEDED

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_TORCH = """
import sys
import scipy.stats  # while it is imported, it trips over a module that is None
sys.modules["torch"] = sys.modules["accelerate"] = None
import pytest
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests"]))
"""


def test_whatever_needs_torch_is_left_out_where_there_is_none() -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "tests/device/run/test_threads.py" in done.stdout
    assert "tests/training/" not in done.stdout


@pytest.mark.train
def test_the_marker_is_for_what_needs_torch() -> None:
    assert importlib.util.find_spec("torch")


@pytest.mark.parametrize("path", NEEDED)
def test_what_is_left_out_is_there(path: str) -> None:
    assert (ROOT / "tests" / path).exists()


def test_every_test_runs_with_the_numbers_of_decigs_processes() -> None:
    least = np.finfo(np.float32).tiny
    assert np.float32(least) / np.float32(4) == 0, "denormals count as zero"
    assert os.environ["OMP_WAIT_POLICY"]


def test_helpers_are_imported_by_their_full_names() -> None:
    """Such as `from tests.samples import ...`, without a change of sys.path.

    tests/golden is a program of its own, which records what other checkouts compute.
    """
    helpers = {path.stem for path in (ROOT / "tests").rglob("*.py")} - {"__init__", "conftest"}
    helpers -= {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    helpers -= set(sys.stdlib_module_names)
    program = ROOT / "tests" / "golden"
    for path in set((ROOT / "tests").rglob("*.py")) - set(program.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: a relative import"
                assert node.module not in helpers, f"{path}:{node.lineno}: say tests.{node.module}"
            if isinstance(node, ast.Attribute):
                changed = ast.unparse(node) in ("sys.path.append", "sys.path.insert")
                assert not changed, f"{path}:{node.lineno}: changes sys.path"
