import errno
from pathlib import Path

import pytest

from decig.cli.naming import new_folder
from decig.errors import BadInputError


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


def test_a_folder_that_is_made_at_once_is_taken(tmp_path, monkeypatch):
    """Two calls that begin together do not work in the same one."""
    monkeypatch.chdir(tmp_path)
    names = [str(new_folder("a.onnx", {"target_speedup": (4.0,)}, make=True)) for _ in range(3)]
    assert names == ["a-4x", "a-4x-2", "a-4x-3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    monkeypatch.setattr(Path, "mkdir", _fails)
    with pytest.raises(BadInputError, match="b-4x: not written: Permission denied"):
        new_folder("b.onnx", {"target_speedup": (4.0,)}, make=True)


def _fails(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")
