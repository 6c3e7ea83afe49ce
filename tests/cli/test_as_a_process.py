"""What only a process of its own shows: what is imported, and what happens without torch."""

import subprocess
import sys

import pytest

from decig import __version__
from tests.samples import PIXELS, write_generator, write_photos

WITHOUT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from decig.cli.main import main
main()
"""

TRAIN = "torch", "accelerate", "filelock", "onnx_ir", "onnxscript", "safetensors", "tomlkit"
"""Modules of decig[train]."""
WITHOUT_TORCH = WITHOUT.replace("{names}", repr(TRAIN))

HEAVY = """
import sys
from decig.cli.main import main
try:
    main(["--help"])
finally:
    heavy = {"numpy", "onnx", "onnxruntime", "rich", "torch", "PIL"} & sys.modules.keys()
    assert not heavy, heavy
"""


def python(program, *arguments):
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_help_imports_nothing_heavy():
    result = python(HEAVY)
    assert result.returncode == 0, result.stderr
    for command in ("profile", "inspect", "slice", "compress", "export", "check", "train"):
        assert command in result.stdout


def test_version():
    result = python("from decig.cli.main import main; main()", "--version")
    assert result.returncode == 0
    assert result.stdout.strip() == f"decig, version {__version__}"


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "decig", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == f"decig, version {__version__}"


def test_everything_but_training_works_without_torch(tmp_path):
    model, photos = write_generator(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    table, small, out = (tmp_path / name for name in ("t.json", "small.onnx", "out.onnx"))
    for command in (
        ("profile", model, "-o", table, "--quick"),
        ("inspect", model, "--profile", table),
        (
            "slice",
            model,
            "-o",
            small,
            "--keep",
            "0.75",
            "--align",
            "1",
            "--repair",
            photos,
            "--verify",
            *PIXELS,
        ),
        ("export", small, "-o", out, "--pixel-io", "--precision", "auto", "--calibration", photos),
        ("check", out, "--reference", model, "--data", photos),
        ("doctor",),
    ):
        result = python(WITHOUT_TORCH, *command)
        assert result.returncode == 0, result.stderr


def test_training_without_torch_says_what_to_install(tmp_path):
    model, photos = write_generator(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    folders = ("--data", photos, "--output-dir", tmp_path / "run")
    # Nothing is asked, and no folder is named, if no answer helps.
    for given in (
        ("compress", model, "--profile", model, *folders, *PIXELS),
        ("compress", model, "--data", photos, "--target-speedup", "2", *PIXELS),
        ("compress", model),
        ("train", tmp_path, *folders),
    ):
        result = python(WITHOUT_TORCH, *given)
        assert result.returncode == 2
        assert result.stderr.startswith(f"decig: error: decig {given[0]} needs torch: pip install ")
        assert "'decig[train]'" in result.stderr
        assert result.stderr.count("\n") == 1


@pytest.mark.train
@pytest.mark.parametrize("name", ["filelock", "safetensors", "tomlkit"])
def test_one_package_that_training_lacks_is_named(tmp_path, name):
    """As where decig was brought up to date without what trains."""
    program = WITHOUT.replace("{names}", repr((name,)))
    model, photos = write_generator(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    folders = ("--data", photos, "--output-dir", tmp_path / "run")
    for given in (
        ("compress", model, *folders, "--target-macs", "0.5", *PIXELS),
        ("train", tmp_path, *folders),
    ):
        result = python(program, *given)
        assert result.returncode == 2
        told = f"decig: error: decig {given[0]} needs {name}: pip install 'decig[train]'\n"
        assert result.stderr == told
    assert not (tmp_path / "run").exists()


def test_pytorch_code_without_torch_says_what_to_install(tmp_path):
    result = python(WITHOUT_TORCH, "inspect", "net.py:Net", "--input-shape", "input:1,3,8,8")
    assert result.returncode == 2
    assert result.stderr.startswith("decig: error: net.py:Net: PyTorch code needs torch: pip ")
