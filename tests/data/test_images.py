import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from decig.data.images import (
    ImageFolder,
    UnreadableImageError,
    image_size,
    read_image,
    read_labels,
)
from decig.data.labels import Labels
from decig.errors import BadInputError
from decig.files import write_json


def _save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def _noise(height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_folder_is_listed_recursively_and_sorted(tmp_path):
    for name in ("b.png", "a/z.BMP", "a/c.webp", "d.jpeg"):
        _save(tmp_path / name, _noise())
    (tmp_path / "notes.txt").write_text("no image")

    folder = ImageFolder(tmp_path)

    assert [f.relative_to(tmp_path).as_posix() for f in folder.files] == [
        "a/c.webp",
        "a/z.BMP",
        "b.png",
        "d.jpeg",
    ]
    assert len(folder) == 4
    assert all(pixels.shape == (6, 8, 3) and pixels.dtype == np.uint8 for _, pixels in folder)


def test_lossless_pixels_come_back_as_they_were(tmp_path):
    pixels = _noise()
    assert np.array_equal(read_image(_save(tmp_path / "a.png", pixels)), pixels)


def test_exif_orientation_is_honoured(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90 degrees clockwise
    turned = read_image(_save(tmp_path / "a.png", pixels, exif=exif))
    assert turned.shape == (16, 8, 3)
    assert turned[:8].max() == 0
    assert turned[8:].min() == 255


def test_grey_palette_and_transparent_images_become_rgb(tmp_path):
    Image.new("L", (4, 4), 9).save(tmp_path / "grey.png")
    Image.fromarray(_noise()).quantize(4).save(tmp_path / "palette.png")
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "transparent.png")
    read = {file.stem: pixels for file, pixels in ImageFolder(tmp_path)}
    assert (read["grey"] == 9).all()
    assert read["palette"].shape == (6, 8, 3)
    assert (read["transparent"] == 255).all()


def test_a_folder_that_takes_long_says_how_far_it_is(tmp_path, monkeypatch, caplog):
    from tests.samples import write_photos

    folder = write_photos(tmp_path / "photos", 3)
    assert len(list(ImageFolder(folder))) == 3
    assert caplog.messages == []
    monkeypatch.setattr("decig.data.images._SAY_EVERY_S", 0.0)
    with caplog.at_level("INFO"):
        assert len(list(ImageFolder(folder))) == 3
    assert caplog.messages == [f"{folder}: at image {k} of 3" for k in (1, 2, 3)]


def test_corrupt_image_among_good_ones_is_named_skipped_and_counted(tmp_path, caplog):
    _save(tmp_path / "a.jpg", _noise(64, 64))
    whole = _save(tmp_path / "broken.jpg", _noise(64, 64)).read_bytes()
    (tmp_path / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")

    folder = ImageFolder(tmp_path)
    with caplog.at_level(logging.WARNING):
        twice = [[file.name for file, _ in folder] for _ in range(2)]

    assert twice == [["a.jpg"], ["a.jpg"]]
    assert [file.name for file in folder.skipped] == ["broken.jpg", "text.png"]
    assert [record.getMessage().count(".jpg") for record in caplog.records] == [1, 0]
    assert len(caplog.records) == 2


def test_of_many_unreadable_images_the_first_are_named(tmp_path, caplog):
    for number in range(30):
        (tmp_path / f"{number:02}.png").write_bytes(b"no picture")
    _save(tmp_path / "whole.png", _noise())
    folder = ImageFolder(tmp_path)
    for _ in range(2):
        assert [file.name for file, _ in folder] == ["whole.png"]
    assert len(folder.skipped) == 30
    *named, more, total, again = caplog.messages
    assert [f"{number:02}.png: not" in line for number, line in enumerate(named)] == [True] * 20
    assert more == f"{tmp_path}: more images are skipped, which are not named"
    assert total == again == f"{tmp_path}: 30 of its 31 images are skipped"


def test_folder_without_use_is_named(tmp_path):
    with pytest.raises(BadInputError, match=r"absent.*no such folder"):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(BadInputError, match=r"no images there"):
        ImageFolder(tmp_path)
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(BadInputError, match=f"{tmp_path.name}.*none of its 1 images"):
        list(ImageFolder(tmp_path))


def test_ids_are_read_from_grey_and_palette_files(tmp_path):
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(ids).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(ids[..., None], 3, -1)).save(tmp_path / "rgb.png")
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "wide.png")
    indexed = Image.fromarray(ids, mode="P")
    indexed.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    indexed.save(tmp_path / "palette.png")
    for name in ("grey", "rgb", "wide", "palette"):
        found = read_labels(tmp_path / f"{name}.png", Labels(ids=12))
        assert found.dtype == np.uint8
        assert np.array_equal(found, np.repeat(ids[..., None], 3, -1)), name
    assert read_labels(tmp_path / "palette.png", Labels(palette=((9, 9, 9),))).max() == 9


def test_files_that_hold_no_ids(tmp_path):
    Image.fromarray(_noise()).save(tmp_path / "colours.png")
    Image.fromarray(_noise()[..., 0]).save(tmp_path / "lossy.jpg")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.fromarray(np.full((4, 4), 300, np.uint16)).save(tmp_path / "high.png")
    labels = Labels(ids=255)
    for name, message in (
        ("colours.png", "holds colours, not the ids"),
        ("lossy.jpg", "JPEG does not keep"),
        ("broken.png", "not a readable image"),
        ("high.png", "holds the id 255"),
    ):
        with pytest.raises(BadInputError, match=rf"{name}: {message}"):
            read_labels(tmp_path / name, labels)


def test_a_folder_of_label_maps_skips_what_is_broken_but_no_wrong_labels(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    folder = ImageFolder(tmp_path, Labels(ids=2))
    assert [path.name for path, _ in folder] == ["a.png"]
    assert [path.name for path in folder.skipped] == ["b.png"]
    Image.fromarray(np.full((4, 4), 2, np.uint8)).save(tmp_path / "c.png")
    with pytest.raises(BadInputError, match=r"c\.png: holds the id 2"):
        list(ImageFolder(tmp_path, Labels(ids=2)))


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_the_size_in_the_header_is_that_of_the_image(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = _save(tmp_path / "a.jpg", _noise(6, 8), exif=exif)
    assert image_size(file) == read_image(file).shape[1::-1]


def test_a_size_that_cannot_be_read_names_the_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    for name in ("a.png", "absent.png"):
        with pytest.raises(BadInputError, match=rf"{name}: not a readable image"):
            image_size(tmp_path / name)


def test_damaged_metadata_takes_no_picture_away_and_no_word_is_said(tmp_path, capfd):
    """Pillow warns of EXIF that ends early; the pixels are right all the same."""
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colours).save(tmp_path / "whole.png", exif=exif.tobytes()[:-9])
    assert sorted(read_image(tmp_path / "whole.png").shape) == [3, 8, 8]
    assert image_size(tmp_path / "whole.png") == (8, 8)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("error", [TypeError("a tuple"), IndexError(), EOFError("two\nlines")])
def test_whatever_a_decoder_stumbles_over_is_one_line(tmp_path, monkeypatch, error):
    def stumble(_):
        raise error

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(ImageOps, "exif_transpose", stumble)
    with pytest.raises(UnreadableImageError) as told:
        read_image(tmp_path / "a.png")
    assert str(told.value).startswith(f"{tmp_path / 'a.png'}: not a readable image: ")
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error"),
        (OSError(errno.EMFILE, "Too many open files"), "cannot be read: Too many open files"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be read: Permission denied"),
        (MemoryError(), "not enough memory to read this image"),
    ],
)
def test_a_fault_that_is_not_the_images_ends_the_reading(tmp_path, monkeypatch, error, told):
    """It may hold for half of the folder, and be over tomorrow."""

    def fail(*_):
        raise error

    _save(tmp_path / "a.png", _noise())
    monkeypatch.setattr(Image, "open", fail)
    for read in (read_image, image_size, lambda _: list(ImageFolder(tmp_path))):
        with pytest.raises(BadInputError, match=f"^{tmp_path / 'a.png'}: {told}$") as caught:
            read(tmp_path / "a.png")
        assert not isinstance(caught.value, UnreadableImageError)


def test_damage_that_leads_before_the_file_is_the_images(tmp_path, monkeypatch):
    """As where a decoder seeks to a place that a damaged header names."""

    def fail(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    _save(tmp_path / "a.png", _noise())
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(UnreadableImageError, match=r"a\.png: not a readable image: .*Invalid"):
        read_image(tmp_path / "a.png")


def test_a_sub_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    _save(tmp_path / "a.png", _noise())
    _save(tmp_path / "closed" / "b.png", _noise())
    scan = os.scandir

    def closed(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(BadInputError, match=r"/closed: cannot be listed: Permission denied$"):
        ImageFolder(tmp_path)


def test_run_folders_are_no_data(tmp_path):
    """What decig painted lies in there; a folder of images may have files of the same names."""
    for name in ("a", "told/pictures/b", "silent/pictures/c", "original/samples/d", "mine/e"):
        _save(tmp_path / f"{name}.png", _noise())
    (tmp_path / "told" / "run.toml").write_text("")
    write_json(tmp_path / "silent" / "run.json", {"schema_version": 1, "model": {}})
    write_json(tmp_path / "original" / "training.json", {"source": {}, "pixels": {}})
    for name in ("run", "targets", "training"):
        write_json(tmp_path / "mine" / f"{name}.json", {"e": [1, 2]})
    assert [file.stem for file in ImageFolder(tmp_path).files] == ["a", "e"]
    assert [file.stem for file in ImageFolder(tmp_path / "told").files] == ["b"]  # asked for


def test_what_only_the_system_may_read_of_a_disk_is_no_data(tmp_path, monkeypatch):
    _save(tmp_path / "a.png", _noise())
    (tmp_path / "lost+found").mkdir()
    scan = os.scandir

    def closed(path):
        assert Path(path).name != "lost+found"
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert [file.stem for file in ImageFolder(tmp_path).files] == ["a"]


def test_links_are_followed_and_what_is_hidden_is_left_out(tmp_path):
    for name in ("real/a.png", "photos/b.png", "photos/.checkpoints/b-copy.png", "photos/.c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        _save(tmp_path / name, _noise())
    photos = tmp_path / "photos"
    (photos / "sub").symlink_to(tmp_path / "real")
    (photos / "round").symlink_to(photos)
    (photos / "above").symlink_to(tmp_path)
    (photos / "days" / "1").mkdir(parents=True)
    _save(photos / "days" / "1" / "d.png", _noise())
    (photos / "days" / "latest").symlink_to(photos / "days" / "1")
    (photos / "alpha").symlink_to(photos / "days")  # before what it leads to
    (photos / "again").symlink_to(tmp_path / "real")
    (photos / "folder.png").mkdir()
    (photos / "gone.png").symlink_to(tmp_path / "nowhere.png")
    names = [str(file.relative_to(photos)) for file in ImageFolder(photos).files]
    assert names == ["again/a.png", "b.png", "days/1/d.png", "gone.png"]  # each once
