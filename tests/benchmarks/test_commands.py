"""Every benchmark is a command that says how it is called, and most run on a tiny generator."""

import importlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from decig.device.run.device import Device
from tests.samples import write_generator, write_photos

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COMMANDS = sorted(path.stem for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text())
OPTIONAL = ("torch", "torch_pruning")


def call(name: str, *arguments: object) -> str:
    """Run a benchmark in this process; returns what it printed."""
    try:
        main = importlib.import_module(name).main
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"{name}.py needs {error.name}: pip install 'decig[train,bench]'")
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str) -> None:
    text = call(name, "--help")
    assert text.startswith("Usage: ")
    readme = (BENCHMARKS / "README.md").read_text()
    assert f"`python benchmarks/{name}.py" in readme


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_generator(tmp_path / "small.onnx", size=32)


def test_repair(model: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_photos(tmp_path / "photos" / split, 2)
    ranges = ("--input-range", "0,1", "--output-range", "0,1")
    given = ("--model", model, "--data", tmp_path / "photos", "--results", tmp_path, *ranges)
    call("repair", *given, "--keep", 0.5)
    text = (tmp_path / "repair.md").read_text()
    assert text.startswith("`python benchmarks/repair.py`: small.onnx, 2 photos")
    assert [line.split("|")[2].strip() for line in text.splitlines()[4:]] == ["no", "yes"]


def test_rewrites(model: Path, tmp_path: Path) -> None:
    call("rewrites", model, "--no-layers", "--seconds", 0, "--results", tmp_path)
    lines = (tmp_path / "rewrites.md").read_text().splitlines()
    assert lines[0].startswith("| rules | case |")
    for width in (1, 0.5, 0.25):
        assert any(f"| those that pay | small, width {width:g} |" in line for line in lines)


@pytest.mark.parametrize("name", ["planning", "prediction", "rewrites", "roofline"])
def test_a_model_that_cannot_be_read_is_found_before_any_is_measured(
    name: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("measures although a later model cannot be read")

    monkeypatch.setattr(Device, "open", opened)
    main = importlib.import_module(name).main
    result = CliRunner().invoke(main, [str(model), str(tmp_path / "missing.onnx")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "missing.onnx" in result.output


@pytest.mark.slow
def test_prediction(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tables.RESULTS", tmp_path)
    call("prediction", model, "--plans", 1, "--tables", tmp_path / "tables")
    assert (tmp_path / "prediction.md").read_text().count("| small |") == 2
