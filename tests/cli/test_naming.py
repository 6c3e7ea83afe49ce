from pathlib import Path

import pytest

from decig.cli.naming import new_folder


@pytest.mark.parametrize(
    ("model", "targets", "name"),
    [
        ("nets/generator.onnx", {"target_speedup": (4.0,)}, "generator-4x"),
        ("a.onnx", {"target_latency": (20.0, 7.5)}, "a-20ms-7.5ms"),
        ("a.onnx", {"target_macs": (0.25,), "target_speedup": None}, "a-0.25macs"),
        ("net.py:Net", {}, "Net"),
        ("package.module:make net", {"target_speedup": (2.0,)}, "make-net-2x"),
        ("///", {}, "run"),
    ],
)
def test_a_folder_is_named_by_model_and_target(tmp_path, monkeypatch, model, targets, name):
    monkeypatch.chdir(tmp_path)
    assert new_folder(model, targets) == Path(name)
    (tmp_path / name).mkdir()
    assert new_folder(model, targets) == Path(f"{name}-2")


def test_the_name_of_a_folder_may_hold_dots(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gen.v2").mkdir()
    assert str(new_folder("gen.v2", {"target_speedup": [4.0]})) == "gen.v2-4x"


def test_a_recipe_is_called_by_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "udnie").mkdir()
    (tmp_path / "udnie" / "recipe.toml").touch()
    # The working directory has that folder already.
    assert new_folder("udnie/recipe.toml", {}) == new_folder("./udnie/", {}) == Path("udnie-2")
