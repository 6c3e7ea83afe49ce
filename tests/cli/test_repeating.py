"""run.toml repeats a run, and says what differs; it is a beginning for other runs."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from decig.repeating import read_options, read_recorded
from tests.cli.test_resuming import SETTINGS, weights
from tests.samples import PIXELS, decig, write_generator
from tests.training.small import small, write_table

pytestmark = pytest.mark.train

STEPS = 2


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its table, photos, settings, and a run that was made of them."""
    folder = tmp_path_factory.mktemp("repeat")
    write_table(folder / "table.json", small(folder).teacher.model.path)
    (folder / "settings.toml").write_text(f"{SETTINGS}seed = 3\n")
    files = ("--profile", folder / "table.json", "--data", folder / "photos")
    asked = (*files, "--config", folder / "settings.toml", "--force", "--target-speedup", 2)
    run = ("--steps", STEPS, "--output-dir", folder / "run")
    result = decig("compress", folder / "model.onnx", *PIXELS, *asked, *run)
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def copied(place: Path, tmp_path: Path) -> Path:
    """The same in a folder that may be changed; its run.toml names files of that folder."""
    shutil.copytree(place, tmp_path / "copy")
    file = tmp_path / "copy" / "run" / "run.toml"
    file.write_text(file.read_text().replace(str(place), str(tmp_path / "copy")))
    return tmp_path / "copy"


def repeat(place: Path, *more: Any) -> Any:
    return decig("compress", "--locked", place / "run" / "run.toml", *more)


def test_a_run_is_repeated_to_the_byte(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its record alone, by its own table and plan: plans are measured, which never repeats."""
    monkeypatch.setattr("decig.device.plan.target.Target.plan", lambda *_, **__: pytest.fail())
    result = repeat(place, "--output-dir", tmp_path / "again", "--json")
    assert result.exit_code == 0, result.stderr
    assert weights(tmp_path / "again") == weights(place / "run")
    assert (tmp_path / "again" / "plan.json").read_bytes() == (
        place / "run" / "plan.json"
    ).read_bytes()
    files = (folder / "run.toml" for folder in (place / "run", tmp_path / "again"))
    once, twice = map(read_recorded, files)
    for name in ("versions", "machine", "model", "table", "data", "widths"):
        assert getattr(once, name) == getattr(twice, name), name
        assert getattr(once, name), name
    assert once.widths.keys() == {"2x"}


def test_several_targets_for_no_device_are_repeated(place: Path, tmp_path: Path) -> None:
    asked = ("--data", place / "photos", "--config", place / "settings.toml", "--steps", 1)
    macs = ("--target-macs", "0.6,0.5", "--output-dir", tmp_path / "run")
    result = decig("compress", place / "model.onnx", *PIXELS, *asked, *macs)
    assert result.exit_code == 0, result.stderr
    again = repeat(tmp_path, "--output-dir", tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    for name in ("0.6macs", "0.5macs"):
        assert weights(tmp_path / "again" / name) == weights(tmp_path / "run" / name)
    recorded = read_recorded(tmp_path / "run" / "run.toml")
    assert recorded.widths.keys() == {"0.6macs", "0.5macs"} and recorded.table is None


def test_the_record_has_every_option_and_setting(place: Path) -> None:
    found = tomllib.loads((place / "run" / "run.toml").read_text())
    options = found["options"]
    expected = {"model": str(place / "model.onnx"), "steps": STEPS, "target_speedup": "2"}
    expected |= {"method": "decig", "fold_norms": False, "profile": "profile.json"}
    assert options.items() >= (expected | {"force": True, "layout": "nchw"}).items()
    assert "budget" not in options  # steps exclude it
    described = json.loads((place / "run" / "run.json").read_text())["settings"]
    for name, table in described.items():
        said = {key: value for key, value in table.items() if value is not None}
        assert found[name] == said, name
    text = (place / "run" / "run.toml").read_text()
    unset = [line for line in text.split("\n") if "without a value" in line]
    known = {*options, *unset[0].removeprefix("# without a value: ").split(", ")}
    assert known >= {"targets", "unpaired", "discriminator", "feed", "input_shape", "weights"}
    listed = (place / "run" / "data.sha256").read_text().splitlines()
    assert [line.split("  ")[1] for line in listed[:2]] == ["data/a.jpg", "data/b.jpg"]


def test_every_difference_is_a_line_of_its_own(copied: Path, tmp_path: Path) -> None:
    photos, file = copied / "photos", copied / "run" / "run.toml"
    (photos / "a.jpg").unlink()
    (photos / "b.jpg").write_bytes((photos / "c.jpg").read_bytes())
    shutil.copy(photos / "c.jpg", photos / "z.jpg")
    text = file.read_text()
    numpy = read_recorded(file).versions["numpy"]
    text = text.replace(f'numpy = "{numpy}"', 'numpy = "1.0"')
    model, table = read_recorded(file).model, read_recorded(file).table
    assert model is not None and table is not None
    file.write_text(text.replace(model, "a" * 64).replace(table, "b" * 64))
    result = repeat(copied, "--output-dir", tmp_path / "again", "--json")
    assert result.exit_code == 2
    assert not (tmp_path / "again").exists()
    for line in (
        f'version of numpy was "1.0", and is "{numpy}" here',
        f"model: SHA-256 was aaaaaaaaaaaa..., and is {model[:12]}... here",
        f"cost table: SHA-256 was bbbbbbbbbbbb..., and is {table[:12]}... here",
        f"data: {photos / 'a.jpg'} is missing",
        f"data: {photos / 'b.jpg'} has another content",
        f"data: {photos / 'z.jpg'} is new",
    ):
        assert f"warning: {file}: {line}\n" in result.stderr
    assert result.stderr.splitlines()[-1].startswith(
        f"decig: error: {file}: this run cannot be repeated as it was: 6 things differ"
    )
    forced = repeat(copied, "--output-dir", tmp_path / "again", "--force")
    assert forced.exit_code == 0, forced.stderr
    assert f"{photos / 'a.jpg'} is missing" in forced.stderr


def test_a_run_that_goes_on_keeps_its_plan(copied: Path, monkeypatch) -> None:
    from decig.training.compression import pipeline

    goals = []
    monkeypatch.setattr(pipeline, "compress", lambda *what, **_: goals.append(what[2]))
    result = decig("compress", "--resume", "--output-dir", copied / "run")
    assert result.exit_code == 0, result.stderr
    (widths,) = read_recorded(copied / "run" / "run.toml").widths.values()
    assert widths and goals[0].widths == widths


def test_a_folder_named_like_an_image_is_none(copied: Path) -> None:
    (copied / "photos" / "thumbs.png").mkdir()
    assert repeat(copied, "--dry-run").exit_code == 0


def test_a_list_that_is_gone_is_said(copied: Path, tmp_path: Path) -> None:
    (copied / "run" / "data.sha256").unlink()
    assert repeat(copied, "--dry-run").exit_code == 0  # its digest says that nothing differs
    (copied / "photos" / "a.jpg").unlink()
    result = repeat(copied, "--dry-run")
    assert result.exit_code == 2
    assert "data files differ; " in result.stderr


def test_missing_files_are_named_at_once(copied: Path) -> None:
    shutil.rmtree(copied / "photos")
    (copied / "model.onnx").unlink()
    result = repeat(copied, "--force")
    assert result.exit_code == 2
    assert f"data: {copied / 'photos'} is missing" in result.stderr
    assert f"model: {copied / 'model.onnx'} is missing" in result.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--steps", "3"), "--locked repeats a run as it was, without --steps"),
        (("--target-speedup", "3", "--fold-norms"), "without --target-speedup, --fold-norms"),
        (("other.onnx",), "without MODEL"),
    ],
)
def test_what_would_change_the_run_is_refused(
    place: Path, more: tuple[str, ...], message: str
) -> None:
    result = repeat(place, *more)
    assert result.exit_code == 2
    assert message in result.stderr and "give its run.toml as --config" in result.stderr
    assert result.stderr.endswith("See decig compress --help\n")


def test_a_repetition_that_was_stopped_goes_on_without_the_record(place: Path) -> None:
    result = repeat(place, "--resume", "--output-dir", place / "new")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "leave --locked out: decig compress --resume --output-dir RUN. See decig co" in line


def test_a_run_folder_stands_for_its_record(place: Path, tmp_path: Path) -> None:
    again = decig("compress", "--locked", place / "run", "--dry-run", "--json")
    assert again.exit_code == 0, again.stderr
    another = decig("compress", "--config", place / "run", "--dry-run", "--json")
    assert another.exit_code == 0, another.stderr
    (tmp_path / "run.toml").touch()
    (tmp_path / "4x").mkdir()
    above = f", as it is part of {tmp_path}: name {tmp_path / 'run.toml'}"
    for option in ("--locked", "--config"):
        for folder, told in ((place, ". See decig"), (tmp_path / "4x", above)):
            result = decig("compress", option, folder)
            assert result.exit_code == 2
            assert f"'{option}': {folder} holds no run.toml{told}" in result.stderr


def test_what_a_file_says_of_its_model_is_not_said_of_another(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pixels, weights and cost table would fit another MODEL by chance, or not at all."""
    monkeypatch.chdir(tmp_path)
    record = ("--config", copied / "run" / "run.toml")
    shutil.copy(copied / "model.onnx", "moved.onnx")
    moved = decig("compress", "moved.onnx", *record, "--dry-run")
    assert moved.exit_code == 0 and "left out" not in moved.stderr
    (copied / "model.onnx").rename(copied / "away.onnx")
    moved = decig("compress", "moved.onnx", *record, "--dry-run")
    assert moved.exit_code == 0 and "left out" not in moved.stderr
    write_generator(tmp_path / "other.onnx", size=32, seed=5)
    result = decig("compress", "other.onnx", *record, "--dry-run")
    assert result.exit_code == 2
    warning, error = result.stderr.splitlines()
    assert f"it is for {copied / 'model.onnx'}, so this is left out: --input-range, " in warning
    assert "--profile; give what holds for other.onnx too" in warning
    assert "other.onnx does not say what its pixels are" in error and "--data" not in error
    given = ("--input-range", "0,1", "--channel-order", "rgb")
    result = decig("compress", "other.onnx", *record, *given, "--dry-run")
    warning = result.stderr.splitlines()[0]
    assert "so this is left out: --output-range, " in warning
    assert "--input-range" not in warning and "--channel-order" not in warning


def test_a_file_that_is_no_record(place: Path) -> None:
    result = decig("compress", "--locked", place / "settings.toml")
    assert result.exit_code == 2
    assert "settings.toml: no record of a run: it has no table [recorded]" in result.stderr


def test_the_record_is_a_beginning_for_another_run(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is typed goes before what the file says; the folder names itself, and again."""
    monkeypatch.chdir(tmp_path)
    asked = ("compress", "--config", place / "run" / "run.toml", "--target-latency", "8ms")
    for name in ("model-8ms", "model-8ms-2"):
        result = decig(*asked, "--steps", 1, "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["steps"] == 1
        assert f"run folder: {name}" in result.stderr
    options = read_options(tmp_path / "model-8ms" / "run.toml")
    assert options["target_latency"] == "8ms" and "target_speedup" not in options
    assert json.loads((tmp_path / "model-8ms" / "run.json").read_text())["settings"]["train"][
        "seed"
    ] == 3  # fmt: skip


OPTIONS = """
[options]
model = "model.onnx"
data = "photos"
profile = "table.json"
input_range = [0, 1]
output_range = [0, 1]
channel_order = "rgb"
target_speedup = [1.5, 2]
force = true
"""


def test_options_in_a_file_of_settings(copied: Path, tmp_path: Path) -> None:
    """Paths are relative to the file; numbers and lists are written as such."""
    (copied / "all.toml").write_text(OPTIONS + SETTINGS)
    result = decig("compress", "--config", copied / "all.toml", "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["targets"].keys() == {"1.5x", "2x"}
    typed = ("--target-speedup", "3", "--dry-run", "--json")
    one = decig("compress", "--config", copied / "all.toml", *typed)
    assert "targets" not in json.loads(one.stdout)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stesp = 3", "[options]: there is no option stesp; known: "),
        ("config = 'a'", "[options]: there is no option config"),
        ("fold_norms = 1", "[options]: fold_norms: expected true or false, not 1"),
        ("steps = true", "[options]: steps: expected a text or a number, not True"),
        ("steps = 0", "all.toml: "),
        ("budget = 20", "all.toml: '20' needs a unit"),
        ("targets = 'nowhere'", "all.toml: "),
    ],
)
def test_an_option_that_does_not_fit_names_the_file(copied: Path, line: str, message: str) -> None:
    (copied / "all.toml").write_text(f"{OPTIONS}{line}\n{SETTINGS}")
    result = decig("compress", "--config", copied / "all.toml", "--dry-run")
    assert result.exit_code == 2
    assert message in result.stderr and "all.toml" in result.stderr
