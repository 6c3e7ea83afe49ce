"""Time until the first training step: phases, the table, and a run in miniature."""

import json
import subprocess
import sys
from pathlib import Path

import overhead
import pytest
import torch
from click.testing import CliRunner
from jobs import BENCHMARKS
from overhead import table
from parts import phases
from parts.phases import NAMES, OTHER, PHASES, START, phase_of

import decig
from decig.source.resolve import resolve
from tests.benchmarks.small import table_of, write_settings, write_stamped
from tests.samples import write_generator, write_photos

PACKAGE = Path(decig.__file__).parent


@pytest.mark.parametrize("phase", [each for each in PHASES if "/decig/" in each.place])
def test_phases_name_what_is_there(phase: phases.Phase) -> None:
    place = PACKAGE / phase.place.removeprefix("/decig/")
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    text = "".join(file.read_text() for file in files)
    assert files and all(f"def {name}(" in text for name in phase.functions)


def test_the_innermost_phase_counts() -> None:
    code = "def _resolve(f):\n    return f()\ndef load(f):\n    return f()"
    outer: dict[str, object] = {}
    inner: dict[str, object] = {}
    exec(compile(code, f"{PACKAGE}/source/resolve.py", "exec"), outer)
    exec(compile(code, f"{PACKAGE}/device/cost/table.py", "exec"), inner)
    found = outer["_resolve"](lambda: phase_of(sys._getframe()))  # type: ignore[operator]
    assert found == "reading the model"
    found = outer["_resolve"](lambda: inner["load"](lambda: phase_of(sys._getframe())))
    assert found == "reading the table"
    assert phase_of(None) == OTHER


def test_imports_are_a_phase() -> None:
    seen = []

    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "decig_no_such_module":
                seen.append(phase_of(sys._getframe()))

    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
    try:
        with pytest.raises(ImportError):
            import decig_no_such_module  # type: ignore[import-not-found]  # noqa: F401
    finally:
        del sys.meta_path[0]
    assert seen == ["imports"]


def test_the_table_has_medians_and_says_whether_limits_are_kept() -> None:
    run = dict.fromkeys(NAMES, 0.0)
    runs = [run | {START: 1.0, "scoring": seconds} for seconds in (2.0, 4.0, 9.0)]
    lines = table({"a": (4.5, runs), "b": (30.0, runs[:1])}).splitlines()
    assert "| scoring | 4.0 | 2.0 |" in lines
    assert lines[-2] == "| until the first step | **5.0** ± 3.5 | **3.0** ± 0.0 |"
    assert lines[-1] == "| limit, kept | 4.5: NO | 30: yes |"


def test_every_model_needs_its_images(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "m.onnx")
    given = ["--model", str(model), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(overhead.main, given)
    assert result.exit_code == 2 and "for each --model" in result.output


def test_code_without_weights_gets_some_that_paint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def Net(width):\n"
        "    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 1))\n"
    )
    text = "[model]\ninput_shape = [1, 3, 16, 16]\n[pixels]\ninput_range = [0, 1]\n"
    text += 'output_range = [0, 1]\n[source]\npython = "net.py:Net"\narguments = { width = 4 }\n'
    (tmp_path / "recipe.toml").write_text(text)
    made = overhead.with_weights(tmp_path, tmp_path / "out")
    weights = torch.load(tmp_path / "out/weights.pth", weights_only=True)
    assert weights["0.weight"].std() == pytest.approx((2 / 27) ** 0.5, rel=0.2)
    resolve(str(made))
    assert "no trained weights" not in caplog.text
    assert overhead.with_weights(made, tmp_path / "again") == made
    assert overhead.with_weights(tmp_path / "net.onnx", tmp_path / "again").suffix == ".onnx"


def test_a_command_that_takes_no_step_is_a_failure(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "parts.phases", tmp_path / "phases.json", "doctor"]
    done = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True)
    assert done.returncode == 1 and "ended before a step of training" in done.stderr


@pytest.mark.slow
def test_in_miniature(tmp_path: Path) -> None:
    model = write_stamped(tmp_path / "small.onnx")
    given = ["--model", model, "--data", write_photos(tmp_path / "photos", 5, 40, 40)]
    given += ["--speedup", 1.5]
    given += ["--limits", "1000", "--repeats", 1, "--config", write_settings(tmp_path)]
    given += ["--profile", table_of(model, tmp_path)]
    given += ["--out", tmp_path / "out", "--results", tmp_path / "results"]
    result = CliRunner().invoke(overhead.main, [str(each) for each in given])
    assert result.exit_code == 0, result.output
    (found,) = json.loads((tmp_path / "results" / "overhead.json").read_text())["small"]
    assert found["imports"] > 0 and set(found) == set(NAMES)
    assert "| limit, kept | 1000: yes |" in (tmp_path / "results" / "overhead.md").read_text()
