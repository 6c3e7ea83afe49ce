"""Tasks, methods and losses of somebody else run; no file of decig knows them."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from decig.graph.model import shapes
from decig.source.recipe import load_recipe
from decig.training import methods, tasks
from decig.training.compression.terms import TERMS
from decig.training.config import Config
from decig.training.originals import original
from tests.runtime import open_plain
from tests.samples import write_photos
from tests.training.extending.brightness import TERM
from tests.training.small import small, with_settings
from tests.training.tasks.test_distil import task
from tests.training.tasks.test_distil import train as learn

EXTENDING = Path(__file__).parent / "extending"
GREYING, THINNING = "tests.training.extending.greying", "tests.training.extending.thinning"
RECIPE = """
[model]
onnx = "generator.onnx"
input_shape = [1, 3, 30, 40]
[pixels]
input_range = [0, 1]
output_range = [0, 1]
[source]
python = "net.py:Net"
[train]
task = "{task}"
steps = 300
"""
NET = "from torch import nn\ndef Net():\n    return nn.Conv2d(3, 3, 1)\n"


@pytest.fixture
def in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files as if they lay in decig's own folders."""
    for package, file in ((tasks, "greying.py"), (methods, "thinning.py")):
        folder = tmp_path / package.__name__.rpartition(".")[2]
        folder.mkdir()
        shutil.copy(EXTENDING / file, folder)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])


def train(folder: Path, task: str) -> Path:
    (folder / "net.py").write_text(NET)
    (folder / "recipe.toml").write_text(RECIPE.format(task=task))
    photos = write_photos(folder / "photos")
    written = original.train(load_recipe(folder), folder / "run", data=photos)
    assert written is not None
    return written


def test_a_task_is_one_file(tmp_path: Path) -> None:
    session = open_plain(train(tmp_path, GREYING))
    photo = np.random.default_rng(0).random((1, 3, 30, 40), np.float32)
    (grey,) = session.run(None, {"input": photo})
    assert np.abs(grey - photo.mean(1, keepdims=True)).mean() < 0.05
    with Image.open(tmp_path / "run/samples/step-000300.png") as sheet:
        assert sheet.width > 2 * 40


def test_a_method_is_one_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[distil]\ncrop = 32\nheld_out = 2\n[thinning]\nkeep = 0.25\n")
    asked = small(tmp_path).but(config=Config.read(file, THINNING))
    figures = asked.compress()
    assert figures["widths"] == {"c1": 4, "c2": 4} and figures["steps"] == 4
    student = onnx.load(asked.output_dir / "student.onnx")
    assert shapes(student)["c1.weight"] == (4, 3, 3, 3)
    assert asked.record()["settings"]["thinning"] == {"keep": 0.25}


def test_a_file_in_decigs_folder_is_known_by_its_short_name(
    tmp_path: Path, in_the_folder: None
) -> None:
    assert "thinning" in methods.names()
    asked = small(tmp_path).but(config=with_settings(Config.read(None, "thinning"), crop=32))
    assert asked.compress()["widths"] == {"c1": 8, "c2": 8}
    original = tmp_path / "original"
    original.mkdir()
    assert train(original, "greying").name == "generator.onnx"


def test_a_loss_is_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TERMS, "brightness", TERM)
    made = task(terms={"brightness": 0.5})
    batch = made.batch(0)
    shared = made.forward(batch)
    found = made.losses("student", batch, shared)["brightness"]
    means = shared[0].mean((1, 2, 3)) - batch.teacher.mean((1, 2, 3))
    assert float(found.detach()) == pytest.approx(0.5 * float(means.abs().mean().detach()))
    assert "student/brightness" in learn(made, 2)[-1]
