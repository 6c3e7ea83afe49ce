import json
from pathlib import Path

import pytest

from decig.errors import BadInputError
from decig.training.config import Config
from decig.training.loop.settings import Settings as TrainSettings
from decig.training.methods import decig
from decig.training.narrowing.condense import WEIGHTINGS
from decig.training.tasks import distil


def read(folder: Path, text: str, method: str = "decig") -> Config:
    file = folder / "s.toml"
    file.write_text(text)
    return Config.read(file, method)


def test_a_file_changes_the_defaults_it_names(tmp_path: Path) -> None:
    text = "[train]\nlearning_rate = 1\n[distil]\nbatch = 2\n[decig]\ncondense = 0.5\n"
    config = read(tmp_path, text)
    assert (config.distil.batch, config.train.learning_rate) == (2, 1.0)
    assert config.of_method == decig.Settings(condense=0.5)
    assert config.distil.crop == distil.Settings().crop
    none = Config.read(None)
    assert none == Config("decig", TrainSettings(), distil.Settings(), decig.Settings())
    assert read(tmp_path, "") == none


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[distil]\nbach = 2", r"\[distil\]: unknown key bach; known: .*batch"),
        ("[distil]\nbatch = 'x'", r"\[distil\]: batch: expected `int`"),
        ("[distil]\nbatch = 2.5", "batch: expected `int`, not 2.5"),
        ("[distil]\ntarget = inf", "target: not a finite number"),
        ("[train]\nema = nan", "ema: not a finite number"),
        ("[train]\nseed = -1", "seed: expected `int` >= 0, not -1"),
        ("[distil]\nrefresh = 0", "refresh: expected `int` >= 1, not 0"),
        ("[distil]\nzoom = 0.5", "zoom: expected `float` >= 1.*, not 0.5"),
        ("[distil]\nbatch = ", "is not valid TOML"),
        ("[decig]\ncondense = 1.5", "condense: expected `float` <= 1.*, not 1.5"),
        ("[decig]\nfold = 2", "fold: expected `float` <= 1.*, not 2"),
        (
            "[decig]\nweighting = 'cubic'",
            "one of exponential, linear, uniform, not 'cubic'",
        ),
        ("[train]\nprecision = 'fp16'", "precision: expected one of auto, bf16, fp32, not 'fp16'"),
        ("[train]\nlearning_rate = -1.0", "learning_rate: expected `float` > 0"),
        ("[train]\nlearning_rate = 1e300", "learning_rate: expected `float` <= 1"),
        ("[train]\nwarmup = 2", "warmup: expected `float` <= 1"),
        ("[train]\naccumulate = 0", "accumulate: expected `int` >= 1"),
        ("crop = 32", r"crop is in no table; it stands in the table \[distil\]"),
        ("bach = 32", r"bach is in no table; the tables are \[train\], \[distil\], \[decig\]"),
        ("[train]\ncrop = 32", r"\[train\]: crop stands in the table \[distil\]"),
        ("[distil]\nfold = 0.1", r"\[distil\]: fold stands in the table \[decig\]"),
        ("[decig]\nseed = 3", r"\[decig\]: seed stands in the table \[train\]"),
        ("[dezig]\nfold = 0.1", r"there is no table \[dezig\]; the tables are \[train\]"),
    ],
)
def test_mistakes_are_one_line_that_names_file_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(BadInputError, match=message) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / 's.toml'}: ")
    assert "\n" not in str(raised.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.toml: cannot read this file of settings"):
        Config.read(tmp_path / "nowhere.toml")
    with pytest.raises(BadInputError, match=r"no method is called 'dezig'; known: .*decig"):
        Config.read(None, "dezig")


def test_the_record_holds_every_table(tmp_path: Path) -> None:
    record = read(tmp_path, "[distil]\ncrop = 64\n").record()
    assert json.loads(json.dumps(record)) == record
    assert record["method"] == "decig"
    assert record["settings"].keys() == {"train", "distil", "decig"}
    assert record["settings"]["distil"]["crop"] == 64


def test_every_weighting_can_be_asked_for(tmp_path: Path) -> None:
    for name in WEIGHTINGS:
        config = read(tmp_path, f"[decig]\nweighting = '{name}'\n")
        assert config.of_method == decig.Settings(weighting=name)
