from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.data.feeds import Inputs
from decig.data.gallery import Gallery
from decig.data.halves import Part
from decig.data.images import ImageFolder, read_image
from decig.data.labels import Labels
from decig.data.pairs import by_stem
from decig.errors import BadInputError
from tests.data.test_feeds import CODE, IMAGE, PIXELS, rng, takes

PALETTE = ((0, 0, 222), (255, 0, 0))


def halves_at(folder: Path, count: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Write pairs side by side: noise, and a map of two labels; return both sides of each."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(count):
        noise = rng.integers(0, 256, (8, 6, 3), np.uint8)
        labels = np.array(PALETTE, np.uint8)[rng.integers(0, 2, (8, 6))]
        Image.fromarray(np.hstack([noise, labels])).save(folder / f"{number}.png")
        found.append((noise, labels))
    return found


@pytest.mark.parametrize(
    ("name", "folder", "side"),
    [
        ("x", "x", None),
        ("x:A", "x", "A"),
        ("x:B", "x", "B"),
        ("x:C", "x:C", None),
        (".:A", ".", "A"),
        ("x/:B", "x", "B"),
    ],
)
def test_a_side_stands_behind_the_folder(tmp_path, name, folder, side):
    assert Part.of(tmp_path / name) == Part(tmp_path / folder, side)


def test_a_folder_of_that_very_name_is_taken_as_it_is(tmp_path):
    halves_at(tmp_path / "x:A")
    assert Part.of(tmp_path / "x:A") == Part(tmp_path / "x:A")
    assert Part.of(tmp_path / "x:A:B") == Part(tmp_path / "x:A", "B")


def test_each_side_is_read_alone_and_keeps_the_name_of_its_file(tmp_path):
    pairs = halves_at(tmp_path / "sub")
    for place, side in enumerate("AB"):
        folder = ImageFolder(Path(f"{tmp_path}:{side}"))
        assert [folder.name(file) for file in folder.files] == ["sub/0", "sub/1"]
        assert {folder.size(file) for file in folder.files} == {(6, 8)}
        for (_, found), pair in zip(folder, pairs, strict=True):
            assert np.array_equal(found, pair[place])


def test_label_maps_are_looked_at_without_the_photo_beside_them(tmp_path):
    pairs = halves_at(tmp_path)
    labels = Labels(palette=PALETTE)
    folder = ImageFolder(Path(f"{tmp_path}:B"), labels)
    for (_, found), (_, side) in zip(folder, pairs, strict=True):
        assert np.array_equal(found, side)


def test_both_sides_of_one_folder_make_pairs(tmp_path):
    pairs = halves_at(tmp_path)
    found = list(by_stem(Path(f"{tmp_path}:B"), Path(f"{tmp_path}:A")))
    assert [pair.name for pair in found] == ["0", "1"]
    for pair, (left, right) in zip(found, pairs, strict=True):
        assert np.array_equal(pair.input, right) and np.array_equal(pair.target, left)


def test_real_pictures_may_be_halves(tmp_path):
    pairs = halves_at(tmp_path)
    gallery = Gallery(Path(f"{tmp_path}:A"))
    assert np.array_equal(gallery[1], pairs[1][0])
    gallery.require_at_least(6)
    with pytest.raises(BadInputError, match="6x8 image is too small for 7x7"):
        gallery.require_at_least(7)


def test_transparency_is_halved_too(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", alpha=True, part=Part(tmp_path, "B"))
    assert np.array_equal(found, pixels[:, 3:])


def test_an_odd_width_has_no_halves(tmp_path):
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "a.png")
    for look in (lambda folder: list(folder), lambda folder: folder.size(folder.files[0])):
        with pytest.raises(BadInputError, match=r"a\.png: 5x4 cannot hold two halves side by side"):
            look(ImageFolder(Path(f"{tmp_path}:A")))


def test_a_missing_folder_is_named_as_it_was_given(tmp_path):
    with pytest.raises(BadInputError, match="nowhere:A: no such folder of images"):
        ImageFolder(tmp_path / "nowhere:A")


def test_files_that_feed_other_inputs_lie_beside_the_images(tmp_path):
    halves_at(tmp_path)
    np.save(tmp_path / "0.npy", np.arange(8.0))
    inputs = Inputs.of(takes(IMAGE, CODE), PIXELS, {"code": "files"}, Path(f"{tmp_path}:B"))
    assert inputs.draw(rng(), "0")["code"].tolist() == [list(range(8))]


def test_a_model_that_takes_no_image_has_no_halves_to_be_fed(tmp_path):
    with pytest.raises(BadInputError, match=":A: the model takes no image of which a half"):
        Inputs.of(takes(CODE), PIXELS, {"code": "files"}, Path(f"{tmp_path}:A"))


def test_a_place_of_one_letter_is_the_working_directory():
    assert Part.of(Path(":A")) == Part(Path(), "A")
