from pathlib import Path

import pytest

from decig.errors import BadInputError
from decig.training.plugins import find_module, modules_in


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package outside of decig, with a good module and one that lacks a dependency."""
    folder = tmp_path / "mine_for_plugins"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "good.py").write_text("answer = 42\n")
    (folder / "broken.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_a_name_without_a_dot_is_looked_for_in_the_package(mine: Path) -> None:
    assert find_module("good", "mine_for_plugins", "task").answer == 42
    assert modules_in("mine_for_plugins") == ["broken", "good"]


def test_any_module_that_can_be_imported_may_be_named(mine: Path) -> None:
    assert find_module("mine_for_plugins.good", "decig.training", "task").answer == 42


@pytest.mark.parametrize("name", ["bad", "mine_for_plugins.bad", "no_package.bad"])
def test_what_is_not_there_is_one_line_with_what_is(mine: Path, name: str) -> None:
    with pytest.raises(BadInputError, match=f"^no task is called '{name}'; known: broken, good$"):
        find_module(name, "mine_for_plugins", "task")


def test_a_module_that_lacks_something_itself_says_what(mine: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        find_module("broken", "mine_for_plugins", "task")
