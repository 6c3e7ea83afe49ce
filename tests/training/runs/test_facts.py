import logging
from pathlib import Path

import pytest

from decig.errors import BadInputError
from decig.repeating import FILE, LIST_FILE, Recorded
from decig.training.data.examples import Folders
from decig.training.runs.data_digests import digest_of, list_of
from decig.training.runs.facts import Facts, require_same_files


def record(folder: Path, files: dict[str, str], **more: str) -> Path:
    """Write what another run recorded: a list of data files, and their digest."""
    (folder / LIST_FILE).write_bytes(list_of(files))
    lines = [f'{name} = "{value}"' for name, value in more.items()]
    digest = digest_of(list_of(files))
    text = "\n".join(["[recorded]", 'command = "compress"', f'data = "{digest}"', *lines])
    (folder / "run.toml").write_text(text)
    return folder / "run.toml"


def test_every_difference_is_told_and_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Files are named where they lie; those of an option that is not given, by their names."""
    caplog.set_level(logging.WARNING)
    file = record(tmp_path, {"data/a.png": "1", "targets/a.png": "2"}, model="ab" * 32)
    files = {"data/a.png": "3", "data/b.png": "4"}
    recorded = Recorded(command="compress", model="cd" * 32, data=digest_of(list_of(files)))
    facts = Facts(recorded, files, {"data": Path("photos")})
    with pytest.raises(BadInputError, match="4 things differ, named above"):
        facts.require_same(file, accept=False)
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "model: SHA-256 was abababababab..., and is cdcdcdcdcdcd... here",
        f"data: {Path('photos/a.png')} has another content",
        f"data: {Path('photos/b.png')} is new",
        "data: targets/a.png is missing",
    ]
    assert facts.require_same(file, accept=True).model == "ab" * 32


def test_what_is_the_same_tells_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"data/a.png": "1"}
    recorded = Recorded(command="compress", data=digest_of(list_of(files)))
    facts = Facts(recorded, files, {})
    assert facts.require_same(record(tmp_path, files), accept=False) == recorded
    assert not caplog.messages


def test_data_files_are_compared_by_name_where_a_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in "ab":
        (photos / f"{name}.png").write_text(name)
    folders = Folders(photos)
    record(tmp_path, {"data/a.png": "another content", "data/b.png": "2"})
    require_same_files(tmp_path, folders)
    (photos / "c.png").write_text("c")
    with pytest.raises(BadInputError, match=r"other data files: \S*photos/c\.png is new: put them"):
        require_same_files(tmp_path, folders)
    (photos / "a.png").unlink()
    message = r"photos/a\.png is missing, and 1 more differ: put them back as they were, or begin"
    with pytest.raises(BadInputError, match=message):
        require_same_files(tmp_path, folders)
    assert not caplog.messages
    (tmp_path / LIST_FILE).unlink()
    (tmp_path / FILE).unlink(missing_ok=True)
    require_same_files(tmp_path, folders)
    assert not caplog.messages  # Python code began it, and left no record
    (tmp_path / FILE).touch()
    require_same_files(tmp_path, folders)
    assert "data.sha256: not there" in caplog.text
    caplog.clear()
    require_same_files(tmp_path, Folders(None))
    assert not caplog.messages
