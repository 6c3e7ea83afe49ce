from pathlib import Path

from settings import written

from decig.training.config import Config


def test_settings_are_those_of_the_user_with_some_changed(tmp_path: Path) -> None:
    base = tmp_path / "own.toml"
    base.write_text('[train]\nseed = 3\nprecision = "fp32"\n[decig]\ncondense = 0.5\n')
    made = written(tmp_path / "made.toml", base, {"train": {"seed": 7}, "distil": {"crop": 64}})
    config = Config.read(made)
    assert (config.train.seed, config.train.precision) == (7, "fp32")
    assert (config.distil.crop, config.of_method.condense) == (64, 0.5)


def test_settings_without_a_file_of_the_user(tmp_path: Path) -> None:
    made = written(tmp_path / "deeper" / "made.toml", None, {"train": {"seed": 1}})
    assert Config.read(made).train.seed == 1
