import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from decig.errors import BadInputError
from decig.training.data.examples import Folders
from decig.training.runs.data_digests import (
    data_places,
    digest_of,
    digests_of,
    list_of,
    read_list,
)


def test_data_files_are_named_by_option_and_place(tmp_path: Path) -> None:
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("b.png", "more/a.JPG", "more/style.npy", "notes.txt", ".hidden.png"):
        (tmp_path / "photos" / name).write_bytes(name.encode())
    (tmp_path / "net_D.pth").write_bytes(b"weights")
    folders = Folders(tmp_path / "photos", None, None, tmp_path / "net_D.pth")
    places = data_places(folders)
    assert places == {"data": tmp_path / "photos", "discriminator": tmp_path / "net_D.pth"}
    found = digests_of(places)
    assert list(found) == ["data/b.png", "data/more/a.JPG", "data/more/style.npy", "discriminator"]
    assert found["discriminator"] == digest_of(b"weights") == hashlib.sha256(b"weights").hexdigest()
    first, *_ = list_of(found).decode().splitlines()
    assert first == f"{digest_of(b'b.png')}  data/b.png"  # as sha256sum writes it


def test_a_file_that_cannot_be_read_counts_as_empty(tmp_path: Path) -> None:
    assert digests_of({"data": tmp_path / "gone.png"}) == {"data": digest_of(b"")}


def test_a_disk_that_fails_is_no_file_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "a.png").write_bytes(b"a")
    monkeypatch.setattr(hashlib, "file_digest", fail)
    with pytest.raises(BadInputError, match=r"a\.png: cannot be read: Input/output error"):
        digests_of({"data": tmp_path})


def test_which_half_of_images_counts_is_told_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "a.png").write_bytes(b"a")
    folder = tmp_path / "pairs"
    places = data_places(Folders(Path(f"{folder}:B"), Path(f"{folder}:A")))
    assert places == {"data:B": folder, "targets:A": folder}
    assert list(digests_of(places)) == ["data:B/a.png", "targets:A/a.png"]


def test_names_of_any_bytes_come_back_from_a_list(tmp_path: Path) -> None:
    """Those that are text in one line stand there as they are."""
    names = ["data/a  b.png", "data/\u00e9.png", os.fsdecode(b"data/\xe9.png")]
    odd = ["data/two\nlines.png", "data/back\\nslash.png", "data/\\", "data/\r.png"]
    digests = {name: digest_of(bytes([place])) for place, name in enumerate([*names, *odd])}
    content = list_of(digests)
    assert read_list(content) == digests
    lines = content.split(b"\n")
    assert lines[0].startswith(digests["data/a  b.png"].encode())
    assert lines[2].endswith(b"  data/\xe9.png")
    assert lines[3] == b"\\" + digests[odd[0]].encode() + rb"  data/two\nlines.png"
    assert lines[-1] == b"" and len(lines) == len(digests) + 1


def test_how_many_files_are_read_is_told(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.png").write_bytes(b"")
    told: list[float] = []
    digests_of({"data": tmp_path}, lambda _, share, __: told.append(share))
    assert told == [0.0, 0.25, 0.5, 0.75]
