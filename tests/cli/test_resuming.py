"""Going on with a run needs the folder alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

import decig as decig_package
from tests.samples import PIXELS, decig, write_photos
from tests.training.small import small, write_table

pytestmark = pytest.mark.train

SETTINGS = (
    "[distil]\ncrop = 32\nbatch = 2\nheld_out = 2\nrepair_crops = 4\n[train]\npatience = 0.0\n"
)
STEPS = 6


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model, its cost table of another device, photos and quick settings."""
    write_table(tmp_path / "table.json", small(tmp_path).teacher.model.path)
    (tmp_path / "settings.toml").write_text(SETTINGS)
    return tmp_path


def begin(run: str, *options: Any) -> Any:
    """Compress in the working directory, all paths relative."""
    pixels = (*PIXELS, "--layout", "nchw")
    files = ("--profile", "table.json", "--data", "photos", "--config", "settings.toml", "--force")
    target = () if "--target-latency" in options else ("--target-speedup", 2)
    asked = ("model.onnx", *pixels, *files, *target, "--steps", STEPS, "--output-dir", run)
    return decig("compress", *asked, *options)


def press(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in a step of training."""
    from decig.training.loop.engine import Engine

    update = Engine._update

    def pressed(engine: Engine, progress: float) -> dict[str, float]:
        if engine.step == after:
            os.kill(os.getpid(), signal.SIGINT)
        return update(engine, progress)

    monkeypatch.setattr(Engine, "_update", pressed)


def weights(run: Path) -> list[bytes]:
    return [t.raw_data for t in onnx.load(run / "student.onnx").graph.initializer]


def test_the_folder_alone_is_enough(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even from another working directory, without the cost table and the settings."""
    monkeypatch.chdir(place)
    assert begin("whole").exit_code == 0
    with monkeypatch.context() as patch:
        press(2, patch)
        stopped = begin("a run")
    assert stopped.exit_code == 130
    *_, line = stopped.stderr.splitlines()
    command = "decig compress --resume --output-dir 'a run'"
    assert line == f"decig: error: a run: stopped; go on with {command}"
    for name in ("table.json", "settings.toml"):
        (place / name).unlink()
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    result = decig("compress", "--resume", "--output-dir", "../a run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == STEPS
    assert weights(place / "a run") == weights(place / "whole")


def test_what_a_scheduler_stopped_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM in the third step, to a process of its own."""
    monkeypatch.chdir(place)
    assert begin("whole").exit_code == 0
    program = """
import os, signal, sys
from decig.cli.main import main
from decig.training.loop.engine import Engine
update = Engine._update
def terminated(engine, progress):
    if engine.step == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return update(engine, progress)
Engine._update = terminated
main()
"""
    pixels = (*PIXELS, "--layout", "nchw")
    files = ("--profile", "table.json", "--data", "photos", "--config", "settings.toml", "--force")
    asked = ("--target-speedup", "2", "--steps", str(STEPS), "--output-dir", "run")
    command = [sys.executable, "-c", program, "compress", "model.onnx", *pixels, *files, *asked]
    environment = os.environ | {"PYTHONPATH": str(Path(decig_package.__file__).parents[1])}
    stopped = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert stopped.returncode == 143, stopped.stderr
    *_, line = stopped.stderr.splitlines()
    again = "decig compress --resume --output-dir run"
    assert line == f"decig: error: run: stopped; go on with {again}"
    result = decig("compress", "--resume", "--output-dir", "run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == STEPS
    assert weights(place / "run") == weights(place / "whole")


def test_several_targets_go_on_with_the_folder_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the second target; the first is not repeated."""
    from decig.training.loop.engine import Engine

    monkeypatch.chdir(place)
    update, steps = Engine._update, iter(range(100))

    def pressed(engine: Engine, progress: float) -> dict[str, float]:
        if next(steps) == STEPS + 2:
            os.kill(os.getpid(), signal.SIGINT)
        return update(engine, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_update", pressed)
        stopped = begin("run", "--target-latency", "8ms,5ms")
    assert stopped.exit_code == 130, stopped.stderr
    assert "go on with decig compress --resume --output-dir run" in stopped.stderr
    first = (place / "run" / "8ms" / "student.onnx").stat().st_mtime_ns
    unfinished = decig("export", "run/5ms", "-o", "out.onnx")
    assert "continue it with decig compress --resume --output-dir run" in unfinished.stderr
    result = decig("compress", "--resume", "--output-dir", "run", "--json")
    assert result.exit_code == 0, result.stderr
    assert [each["steps"] for each in json.loads(result.stdout)["targets"]] == [STEPS, STEPS]
    assert (place / "run" / "8ms" / "student.onnx").stat().st_mtime_ns == first


def test_what_is_given_again_must_be_what_the_run_began_with(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert begin("run").exit_code == 0
    again = ("compress", "--resume", "--output-dir", "run")
    assert decig(*again, "--target-speedup", "2", "--steps", STEPS).exit_code == 0
    for other, message in (
        (("--target-latency", "5ms"), "another target_ms ("),  # and not: exclude each other
        (("--budget", "1m"), f"another budget ({STEPS} steps, not 60 seconds): leave it out to"),
        (("--steps", STEPS + 1), f"another budget ({STEPS} steps, not {STEPS + 1} steps)"),
        (("--fold-norms",), "another fold_norms (no, not yes)"),
        (("--method", "nothing"), "no method is called 'nothing'"),
    ):
        result = decig(*again, *other)
        assert result.exit_code == 2
        assert message in result.stderr
    result = decig("train", *again[1:])
    assert result.exit_code == 2
    assert "run: the run there is one of decig compress" in result.stderr


def test_before_anything_is_written_ctrl_c_promises_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(place)
    with monkeypatch.context() as patch:
        patch.setattr("decig.training.compression.pipeline.prepare", stop)
        patch.setattr("decig.training.compression.preview.preview", stop)
        result, shown = begin("run"), begin("run", "--dry-run")
    told = "run: stopped before anything was kept; type the same command again"
    assert result.exit_code == 130 and result.stderr.splitlines()[-1] == f"decig: error: {told}"
    assert shown.exit_code == 130 and shown.stderr.splitlines()[-1] == "decig: interrupted"
    (place / "run").mkdir(exist_ok=True)
    (place / "run" / "profile.json").touch()
    with monkeypatch.context() as patch:
        patch.setattr("decig.training.compression.pipeline.prepare", stop)
        told = "run: stopped; type the same command again, with --profile run/profile.json"
        assert begin("run").stderr.splitlines()[-1] == f"decig: error: {told}"
    (place / "run" / "profile.json").unlink()
    for resumed in (decig("compress", "--resume", "--output-dir", "run"), begin("run", "--resume")):
        assert resumed.exit_code == 2
        assert "run holds no run that could go on" in resumed.stderr.replace("run: h", "run h")
        assert "as nothing is kept before a run begins to train" in resumed.stderr
    assert begin("run").exit_code == 0


def test_what_stopped_with_its_options_written_goes_on_from_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between run.toml and run.json: method, settings and plan stand in the former."""
    from decig.training.runs import run as run_module

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(place)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "write_json", stop)
        stopped = begin("run", "--method", "supernet")
    assert stopped.exit_code == 130
    assert "go on with decig compress --resume --output-dir run" in stopped.stderr
    assert not (place / "run" / "run.json").exists()
    result = decig("compress", "--resume", "--output-dir", "run")
    assert result.exit_code == 0, result.stderr
    assert "run: was stopped before it began to train, and begins now" in result.stderr
    described = json.loads((place / "run" / "run.json").read_text())
    assert described["method"] == "supernet" and described["settings"]["distil"]["crop"] == 32


def test_a_finished_run_is_neither_measured_nor_trained_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert begin("one").exit_code == 0
    assert begin("two", "--target-latency", "8ms,5ms").exit_code == 0
    monkeypatch.setattr(
        "decig.training.compression.pipeline.prepare_all", lambda *_: pytest.fail("prepared")
    )
    monkeypatch.setattr(
        "decig.training.compression.several.prepare_all", lambda *_: pytest.fail("prepared")
    )
    for run, file in (("one", "report.json"), ("two", "frontier.json")):
        before = (place / run / file).read_bytes()
        result = decig("compress", "--resume", "--output-dir", run, "--json")
        assert result.exit_code == 0, result.stderr
        assert f"{run}: this run is finished; nothing is left to go on with" in result.stderr
        assert json.loads(result.stdout).items() >= json.loads(before).items()
        assert (place / run / file).read_bytes() == before


@pytest.mark.parametrize("target", [(), ("--target-latency", "8ms,5ms")])
def test_a_run_goes_on_with_the_data_files_that_it_began_with(
    target: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more would draw another split; a finished run does not look."""
    monkeypatch.chdir(place)
    with monkeypatch.context() as patch:
        press(2, patch)
        assert begin("run", *target).exit_code == 130
    more = (place / "photos" / "another.png").resolve()
    more.write_bytes(next((place / "photos").iterdir()).read_bytes())
    result = decig("compress", "--resume", "--output-dir", "run")
    assert result.exit_code == 2
    told = f"run: the run there has other data files: {more} is new: put them back as they were"
    assert told in result.stderr
    more.unlink()
    assert decig("compress", "--resume", "--output-dir", "run").exit_code == 0
    more.write_bytes(b"")
    assert decig("compress", "--resume", "--output-dir", "run").exit_code == 0


def test_a_file_of_settings_may_name_the_run_that_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    with monkeypatch.context() as patch:
        press(2, patch)
        assert begin("run").exit_code == 130
    (place / "elsewhere").mkdir()
    settings = f"[options]\noutput_dir = '../run'\n{SETTINGS}"
    (place / "elsewhere" / "go.toml").write_text(settings)
    result = decig("compress", "--resume", "--config", "elsewhere/go.toml", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == STEPS


def test_a_path_that_no_record_can_hold_is_refused_before_anything_is_done(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    odd = os.fsdecode(b"ph\xe9tos")
    (place / "photos").rename(place / odd)
    pixels = (*PIXELS, "--layout", "nchw")
    asked = ("compress", "model.onnx", *pixels, "--target-speedup", 2, "--steps", STEPS)
    result = decig(*asked, "--data", odd, "--output-dir", "run")
    assert result.exit_code == 2 and not (place / "run").exists()
    assert "tos: is not UTF-8, so that no record of a run can hold it; rename it" in result.stderr


def test_a_damaged_record_is_named(place: Path) -> None:
    (place / "run.toml").write_text("[recorded]")
    result = decig("compress", "--resume", "--output-dir", place)
    assert result.exit_code == 2
    assert "run.toml: [recorded]: command is missing" in result.stderr


def test_a_disk_that_is_full_says_so_and_the_run_goes_on(place: Path) -> None:
    """Files may have 30 KiB, which the saved state exceeds."""
    pixels = (*PIXELS, "--layout", "nchw")
    files = ("--profile", "table.json", "--data", "photos", "--config", "settings.toml", "--force")
    asked = ("--target-speedup", "2", "--steps", str(STEPS), "--output-dir", "run")
    command = [sys.executable, "-m", "decig", "compress", "model.onnx", *pixels, *files, *asked]
    limited = ["bash", "-c", 'ulimit -f 30; exec "$@"', "bash", *command]
    environment = os.environ | {"PYTHONPATH": str(Path(decig_package.__file__).parents[1])}
    done = subprocess.run(
        limited, cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    *_, line = done.stderr.splitlines()
    assert line == "decig: error: run/state/stage2.pt: not written: File too large"
    result = decig("compress", "--resume", "--output-dir", place / "run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == STEPS


NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1))
"""
RECIPE = """
[model]
onnx = "generator.onnx"
input_shape = [1, 3, 32, 32]
[pixels]
input_range = [0, 1]
output_range = [0, 1]
[source]
python = "net.py:Net"
[train]
discriminator_width = 4
stages = [{ crop = 32, batch = 1, steps = 5 }]
"""


def test_an_original_goes_on_with_the_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    for split in ("train", "val"):
        for half in ("input", "target"):
            write_photos(tmp_path / "data" / split / half, 2, 40, 44)
    with monkeypatch.context() as patch:
        press(2, patch)
        stopped = decig("train", "recipe.toml", "--data", "data", "--output-dir", "run")
    assert stopped.exit_code == 130
    assert "go on with decig train --resume --output-dir run" in stopped.stderr
    unfinished = decig("export", "run", "-o", "out.onnx")
    assert unfinished.exit_code == 2 and "has exported no generator yet" in unfinished.stderr
    result = decig("train", "--resume", "--output-dir", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "run" / "generator.onnx").is_file()
    again = decig("train", "--resume", "--output-dir", "run")
    assert again.exit_code == 0 and "this training is finished: all of its 5" in again.stderr
    assert decig("inspect", "run", "--json").exit_code == 0  # the folder stands for its generator


@pytest.mark.parametrize("left", [["run.toml"], ["run.toml", "training.json"]])
def test_an_original_that_took_no_step_begins(
    left: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed before its first state was saved."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    for half in ("input", "target"):
        write_photos(tmp_path / "data" / "train" / half, 2, 40, 44)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("decig.training.originals.original.Engine", stop)
        stopped = decig("train", "recipe.toml", "--data", "data", "--output-dir", "run")
    assert stopped.exit_code == 130
    assert "go on with decig train --resume --output-dir run" in stopped.stderr
    for file in (place for place in (tmp_path / "run").iterdir() if place.is_file()):
        if file.name not in left:
            file.unlink()
    result = decig("train", "--resume", "--output-dir", "run")
    assert result.exit_code == 0, result.stderr
    (tmp_path / "run" / "run.toml").unlink()
    nothing = decig("train", "recipe.toml", "--resume", "--output-dir", "new")
    assert nothing.exit_code == 2 and "new: holds no run that could go on" in nothing.stderr
