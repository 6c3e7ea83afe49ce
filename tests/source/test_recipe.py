import os
import subprocess
import sys
from pathlib import Path

import pytest

from decig.data.labels import Labels
from decig.errors import BadInputError
from decig.source.recipe import load_recipe

MINIMAL = """
[model]
onnx = "g.onnx"
input_shape = [1, 3, 64, 64]
[pixels]
input_range = [-1, 1]
output_range = [0, 255]
"""
TRAINED = (
    MINIMAL
    + """
[source]
python = "g.py:G"
arguments = { width = 4 }
[train]
learning_rate = 1e-3
stages = [{ crop = 32, batch = 2, steps = 3 }]
[train.data]
layout = "side-by-side"
[pixels.labels]
palette = [[0, 0, 255]]
"""
)


def _write(folder: Path, text: str) -> Path:
    file = folder / "recipe.toml"
    file.write_text(text)
    return file


def test_minimal_recipe_by_folder_or_file(tmp_path):
    file = _write(tmp_path, MINIMAL)
    recipe = load_recipe(tmp_path)
    assert recipe == load_recipe(file)
    assert recipe.onnx == tmp_path / "g.onnx"
    assert recipe.input_shape == [1, 3, 64, 64]
    assert recipe.pixels.input_range == (-1.0, 1.0)
    assert recipe.pixels.layout == "nchw"
    assert recipe.source is None
    assert recipe.train is None


def test_training_table(tmp_path):
    recipe = load_recipe(_write(tmp_path, TRAINED))
    assert recipe.source is not None
    assert recipe.train is not None
    assert recipe.source.arguments == {"width": 4}
    assert recipe.train == {
        "learning_rate": 1e-3,
        "stages": [{"crop": 32, "batch": 2, "steps": 3}],
        "data": {"layout": "side-by-side"},
    }
    assert recipe.pixels.labels == Labels(palette=((0, 0, 255),))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1, 3, 64, 64]", "[1, 3, 0, 64]", r"model.input_shape\[2\]: expected `int` >= 1, not 0"),
        ("input_shape = [1, 3, 64, 64]", "", "give one of model.input_shape and model.input_sh"),
        (
            "input_shape = [1, 3, 64, 64]",
            "input_shapes = { a = [1, true] }",
            r"model.input_shapes.a\[1\]: expected `int`, not True",
        ),
        ("input_shape = [1, 3, 64, 64]", "input_shapes = { a = [] }", "model.input_shapes.a: exp"),
        ('python = "g.py:G"', 'python = "g.py:G"\nweights = "w.pth"', "give one of model.onnx and"),
        ('onnx = "g.onnx"', "onnx = 3", "model.onnx: expected `str`, not 3"),
        ("[1, 3, 64, 64]", "[3, 64, 64]", "model.input_shape: expected `array` of length >= 4"),
        ("[1, 3, 64, 64]", '[1, 3, "x", 64]', r"model.input_shape\[2\]: .* not 'x'"),
        ("input_range = [-1, 1]", "input_range = [1]", "pixels.input_range: .* length 2"),
        ("input_range = [-1, 1]", "input_range = [1, -1]", "input_range .* low before high"),
        ("input_range = [-1, 1]", "input_range = [-1, inf]", r"pixels.input_range\[1\]: not a fin"),
        ("[pixels]", "[pixels]\nrange = 1", "unknown key pixels.range; known: input_range"),
        ("[pixels]", "[extra]\n[pixels]", "unknown key extra"),
        ("[[0, 0, 255]]", "[[0, 0]]", "no colour of bytes"),
        ("[train.data]", "[train.data", "not valid TOML"),
        ("[train]", "[feeds]\ncode = 'air'\n[train]", "input code cannot be fed 'air'"),
        ("[train]", "[feeds]\ncode = []\n[train]", r"feeds.code: expected .* not \[\]"),
    ],
)
def test_errors_name_file_and_key(tmp_path, old, new, message):
    assert old in TRAINED
    file = _write(tmp_path, TRAINED.replace(old, new))
    with pytest.raises(BadInputError, match=message) as raised:
        load_recipe(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert "\n" not in str(raised.value)


def test_any_editor_and_any_locale_will_do(tmp_path):
    """A byte order mark, letters beyond ASCII, and a Python that expects ASCII files."""
    text = "\ufeff" + TRAINED.replace("g.py:G", "Stra\u00dfe/\u6a21.py:G")
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    program = (
        "import sys; from decig.source.recipe import load_recipe; from pathlib import Path;"
        "print(ascii(load_recipe(Path(sys.argv[1])).source.python))"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", program, str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == ascii("Stra\u00dfe/\u6a21.py:G"), result.stderr


def test_a_model_comes_from_a_file_or_from_code(tmp_path):
    without = TRAINED.replace('onnx = "g.onnx"', "")
    recipe = load_recipe(_write(tmp_path, without))
    assert recipe.onnx is None
    with pytest.raises(BadInputError, match=r"model.onnx is missing, and there is no \[source\]"):
        load_recipe(_write(tmp_path, MINIMAL.replace('onnx = "g.onnx"', "")))


def test_several_inputs_have_names(tmp_path):
    several = "input_shapes = { labels = [1, 12, 64, 64], style = [1, 512] }"
    text = MINIMAL.replace("input_shape = [1, 3, 64, 64]", several)
    recipe = load_recipe(_write(tmp_path, text))
    assert recipe.input_shapes == {"labels": [1, 12, 64, 64], "style": [1, 512]}
    with pytest.raises(BadInputError, match="one input, not of labels, style"):
        _ = recipe.input_shape


def test_missing_recipe(tmp_path):
    with pytest.raises(BadInputError, match=r"recipe.toml: cannot read"):
        load_recipe(tmp_path)


def test_recipes_of_the_project_load():
    folders = sorted((Path(__file__).parents[2] / "models").glob("*/"))
    assert folders
    for folder in folders:
        recipe = load_recipe(folder)
        assert recipe.source is not None
        assert recipe.onnx is None or recipe.onnx.is_file()
