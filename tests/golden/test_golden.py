"""What decig computes is what it computed when golden.json was recorded.

A difference is a fault, unless figures were to change: then say so in the commit, and record anew:

    python tests/golden/record.py tests/golden/golden.json
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.golden.compare import differences, differences_of

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text())
QUICK = [
    *(f"train/{precision}" for precision in ("fp32", "bf16")),
    *(f"compress/{kind}" for kind in ("plain", "condense", "features", "fold-norms", "targets")),
    "plan/small/compress",
    *(f"plan/{table}/slice" for table in ("epyc-cpu-1", "epyc-openvino-1")),
    "graph/facades-resunet",
]
SLOW = sorted(GOLDEN["recordings"].keys() - QUICK)
pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return record(tmp_path_factory.mktemp("golden"), QUICK)


@pytest.mark.parametrize("name", QUICK)
def test_the_same_as_recorded(quick: dict[str, Any], name: str) -> None:
    assert not differences_of(name, GOLDEN, quick)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_the_same_as_recorded_slow(tmp_path: Path, name: str) -> None:
    assert not differences(GOLDEN, record(tmp_path, [name]))


def record(folder: Path, names: list[str]) -> dict[str, Any]:
    """Record in a process of its own, which has one thread from its start."""
    out = folder / "found.json"
    command = [sys.executable, str(HERE / "record.py"), str(out), "--only", *names]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    assert sorted(found["recordings"]) == sorted(names)
    return found


def altered(name: str, key: str, value: Any, *, same_machine: bool) -> list[str]:
    """What is found different if one recorded value were another, here or elsewhere."""
    found = json.loads(json.dumps(GOLDEN))
    entry = found["recordings"][name]
    *above, last = key.split("/")
    for part in above:
        entry = entry[part]
    entry[last] = value
    if not same_machine:
        found["identity"]["processor"] = {"model name": "another"}
    return differences(GOLDEN, found)


def test_the_golden_recording_agrees_with_itself_alone() -> None:
    assert not differences(GOLDEN, GOLDEN)
    other = {**GOLDEN, "recordings": {"train/none": {}}}
    assert differences(GOLDEN, other) == ["train/none: is not in the golden recording"]


def test_the_same_machine_must_agree_to_the_last_digit() -> None:
    ssim = GOLDEN["recordings"]["compress/plain"]["ssim"]
    (line,) = altered("compress/plain", "ssim", math.nextafter(ssim, 1), same_machine=True)
    assert line.startswith("compress/plain: ssim: ")
    assert altered("compress/plain", "weights", "0", same_machine=True)


def test_another_machine_must_agree_within_tolerances() -> None:
    entry, key = "compress/plain", "losses/pass 1"
    losses = GOLDEN["recordings"][entry]["losses"]["pass 1"]
    near, far = ([loss * factor for loss in losses] for factor in (1 + 1e-6, 1.1))
    assert not altered(entry, key, near, same_machine=False)
    (line,) = altered(entry, key, far, same_machine=False)
    assert "from entry 0 on" in line and "0.1 apart" in line
    late = [*losses[:-1], 1.03 * losses[-1]]
    assert not altered(entry, key, late, same_machine=False)
    assert altered(entry, key, late[::-1], same_machine=False)
    assert altered(entry, key, losses[:-1], same_machine=False)
    assert not altered("compress/plain", "weights", "0", same_machine=False)
    assert altered("compress/plain", "structure", "0", same_machine=False)
    assert altered("compress/plain", "ssim", 0.0, same_machine=False)
    assert altered("compress/plain", "widths", {"stem": 1}, same_machine=False)
