from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.data.gallery import Gallery
from decig.errors import BadInputError


def write(folder: Path, *names: str) -> list[np.ndarray]:
    rng = np.random.default_rng(len(names))
    images = [rng.integers(0, 256, (6, 8, 3), np.uint8) for _ in names]
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    return images


def test_images_are_read_by_number_in_the_order_of_their_paths(tmp_path: Path) -> None:
    images = write(tmp_path, "a", "b", "c")
    gallery = Gallery(tmp_path)
    assert len(gallery) == 3
    for number in (2, 0, 1, 4):
        assert np.array_equal(gallery[number], images[number % 3])


def test_an_unreadable_image_is_named_once_and_replaced_by_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = write(tmp_path, "a", "b", "c")
    (tmp_path / "c.png").write_bytes(b"no picture")
    gallery = Gallery(tmp_path)
    for _ in range(2):
        assert np.array_equal(gallery[2], images[0])
    (warning,) = caplog.messages
    assert len(gallery) == 3 and "c.png" in warning


def test_sizes_are_known_before_images_are_read(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    (tmp_path / "c.png").write_bytes(b"no picture")
    gallery = Gallery(tmp_path)
    gallery.require_at_least(6)
    Image.new("RGB", (9, 5)).save(tmp_path / "b.png")
    with pytest.raises(BadInputError, match=r"b\.png: a 9x5 image is too small for 6x6 crops"):
        gallery.require_at_least(6)


def test_no_file_is_opened_where_every_size_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a", "b")
    gallery = Gallery(tmp_path)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("opened"))
    gallery.require_at_least(1)


def test_an_unusable_folder_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="absent: no such folder of images"):
        Gallery(tmp_path / "absent")
    with pytest.raises(BadInputError, match="no images there"):
        Gallery(tmp_path)
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(BadInputError, match="none of its 2 images is readable"):
        Gallery(tmp_path)
