import hashlib
from pathlib import Path

from decig.training.data.examples import Folders
from decig.training.runs.data_digests import data_places, digest_of, digests_of, list_of


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


def test_which_half_of_images_counts_is_told_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "a.png").write_bytes(b"a")
    folder = tmp_path / "pairs"
    places = data_places(Folders(Path(f"{folder}:B"), Path(f"{folder}:A")))
    assert places == {"data:B": folder, "targets:A": folder}
    assert list(digests_of(places)) == ["data:B/a.png", "targets:A/a.png"]
