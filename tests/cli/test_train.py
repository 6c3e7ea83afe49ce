import pytest

from tests.samples import decig, write_photos

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
