import sys

import pytest

from tests.samples import PIXELS, decig, write_generator, write_photos
from tests.train.test_events import read_events

pytestmark = pytest.mark.train


def test_a_recipe_that_is_not_there(tmp_path):
    asked = ("--data", tmp_path, "--output-dir", tmp_path / "run")
    result = decig("train", tmp_path / "none", *asked)
    assert result.exit_code == 2
    assert "none" in result.stderr


def test_a_recipe_that_cannot_be_trained(tmp_path):
    (tmp_path / "recipe.toml").write_text(
        '[model]\nonnx = "g.onnx"\ninput_shape = [1, 3, 24, 24]\n'
        "[pixels]\ninput_range = [0, 1]\noutput_range = [0, 1]\n"
    )
    asked = ("--data", tmp_path, "--output-dir", tmp_path / "run")
    result = decig("train", tmp_path, *asked)
    assert result.exit_code == 2
    assert "[train]" in result.stderr


RECIPE = """
[model]
input_shape = [1, 3, 32, 32]
[pixels]
input_range = [-1, 1]
output_range = [-1, 1]
[source]
python = "net.py:Net"
[train]
task = "unpaired"
discriminator_width = 4
stages = [{ crop = 32, steps = 2 }]
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef Net():\n    return nn.Conv2d(3, 3, 1)\n"
    )
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def test_cyclegans_folders_make_two_generators(recipe):
    for side in ("trainA", "trainB", "testA", "testB"):
        write_photos(recipe / "data" / side, height=36)
    asked = ("--data", recipe / "data", "--output-dir", recipe / "run")
    result = decig("train", recipe, *asked, "--direction", "BtoA", "--sample-every", "1s")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(recipe / "run/generator.onnx")
    assert (recipe / "run/generator_back.onnx").is_file()
    again = decig("train", recipe, *asked, "--resume", "--direction", "AtoB")
    assert again.exit_code == 2 and "train.data.direction = 'BtoA'" in again.stderr


def test_what_is_logged_for_tensorboard_goes_on_after_a_resume(recipe):
    for side in ("trainA", "trainB"):
        write_photos(recipe / "data" / side, height=36)
    run = recipe / "run"
    asked = ("train", recipe, "--data", recipe / "data", "--output-dir", run)
    assert decig(*asked, "--tensorboard").exit_code == 0
    found = read_events(run / "tensorboard")
    assert {"loss/generators", "loss/generators/cycle_a", "seconds_per_step"} <= found.keys()
    assert list(found["samples"]) == [2]
    assert list(found["learning_rate/discriminators"]) == [1]
    result = decig("train", "--resume", "--output-dir", run)  # as it was typed, with the log
    assert result.exit_code == 0, result.stderr
    again = read_events(run / "tensorboard")
    assert list(again["loss/generators"]) == [1]
    assert len(list((run / "tensorboard").iterdir())) == 2


@pytest.mark.parametrize("command", ["train", "compress"])
def test_tensorboard_without_its_package(recipe, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    model = recipe if command == "train" else write_generator(recipe / "model.onnx")
    options = () if command == "train" else ("--target-speedup", 2, *PIXELS)
    asked = ("--data", recipe, "--output-dir", recipe / "run", "--tensorboard")
    result = decig(command, model, *asked, *options)
    assert result.exit_code == 2
    assert result.stderr == (
        "decig: error: --tensorboard needs tensorboardX: pip install 'decig[tensorboard]'\n"
    )


def test_a_wrong_folder_is_told_what_was_looked_for(recipe):
    write_photos(recipe / "horses" / "trainA", height=36)
    result = decig("train", recipe, "--data", recipe / "horses", "--output-dir", recipe / "run")
    assert result.exit_code == 2 and not (recipe / "run").exists()
    (line,) = result.stderr.strip().splitlines()
    assert "looked for trainA and trainB, " in line and "trainB is missing" in line


def test_a_direction_that_is_none(recipe):
    asked = ("--data", recipe, "--output-dir", recipe / "run")
    result = decig("train", recipe, *asked, "--direction", "right")
    assert result.exit_code == 2 and "AtoB" in result.stderr
