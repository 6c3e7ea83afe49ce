import pytest

from tests.samples import decig

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
