from pathlib import Path

import pytest

from decig.errors import BadInputError
from decig.train.settings import Settings


def test_a_file_changes_the_defaults_it_names(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("batch = 2\nlearning_rate = 1\n")
    settings = Settings.load(file)
    assert (settings.batch, settings.learning_rate) == (2, 1.0)
    assert settings.crop == Settings().crop
    assert Settings.load(None) == Settings()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("bach = 2", "bach"),
        ("batch = 'x'", "batch"),
        ("batch = 2.5", "batch"),
        ("target = inf", "target"),
        ("ema = nan", "ema"),
        ("seed = -1", "seed"),
        ("refresh = 0", "refresh"),
        ("zoom = 0.5", "'zoom' must be at least 1, not 0.5"),
        ("batch = ", "s.toml"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(BadInputError, match=named):
        Settings.load(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nowhere"):
        Settings.load(tmp_path / "nowhere.toml")
