import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.data.images import ImageFolder, read_image
from decig.errors import BadInputError


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


def test_folder_without_use_is_named(tmp_path):
    with pytest.raises(BadInputError, match=r"absent.*no such folder"):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(BadInputError, match=r"no images there"):
        ImageFolder(tmp_path)
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(BadInputError, match=f"{tmp_path.name}.*none of its 1 images"):
        list(ImageFolder(tmp_path))
