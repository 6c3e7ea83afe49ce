"""Damaged files end in one line, whatever the damage; nothing else is raised, and nothing hangs."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decig.errors import DecigError
from tests.fuzz.loaders import LOADERS, NEED_TORCH, Loader

EXAMPLES = 40
"""Damaged files per loader in a quick run; `guided.py` goes on for as long as it is let."""

marked = [
    pytest.param(name, marks=pytest.mark.train) if name in NEED_TORCH else name for name in LOADERS
]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", marked)
def test_whole_files_are_read(name: str, tmp_path: Path) -> None:
    loader = LOADERS[name]
    for number, (suffix, data) in enumerate(loader.whole(tmp_path)):
        file = _named(loader, tmp_path, suffix, number)
        file.write_bytes(data)
        loader.load(file)


@pytest.mark.parametrize("name", marked)
def test_damage_is_told_in_one_line(name: str, scratch: Path) -> None:
    loader, folder = LOADERS[name], scratch / name.replace(" ", "-")
    folder.mkdir()
    whole = loader.whole(folder)

    @given(st.integers(0, 2**32 - 1))
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def check(seed: int) -> None:
        rng = np.random.default_rng(seed)
        suffix, data = whole[rng.integers(len(whole))]
        file = _named(loader, folder, suffix, 0)
        file.write_bytes(loader.damage(rng, data))
        try:
            loader.load(file)
        except DecigError as error:
            assert "\n" not in str(error)
            assert str(error)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check()


def _named(loader: Loader, folder: Path, suffix: str, number: int) -> Path:
    """A file to write; recipes are found by their name."""
    if loader is LOADERS["recipe"]:
        (folder / str(number)).mkdir(exist_ok=True)
        return folder / str(number) / "recipe.toml"
    return folder / f"damaged-{number}{suffix}"
