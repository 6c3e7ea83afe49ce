import re
from pathlib import Path

import pytest

from decig.data.layouts import APART, Layout, Split, find_layout
from decig.errors import BadInputError

BOTH = {
    "CycleGAN's": ("trainA", "trainB", "testA", "testB"),
    "pix2pixHD's": ("train_A", "train_B", "test_A", "test_B"),
    "pix2pix's, apart": ("A/train", "B/train", "A/test", "B/test"),
    "GauGAN's": ("train_label", "train_img", "test_label", "test_img"),
    "decig's": ("train/input", "train/target", "test/input", "test/target"),
}


def folders(parent: Path, *names: str) -> Path:
    for name in names:
        (parent / name).mkdir(parents=True)
    return parent


def test_every_layout_is_tested() -> None:
    assert len(BOTH) == len(APART)


@pytest.mark.parametrize("held_out", ["test", "val"])
@pytest.mark.parametrize("names", BOTH.values(), ids=BOTH.keys())
def test_both_sides_in_folders_of_their_own(
    tmp_path: Path, names: tuple[str, ...], held_out: str
) -> None:
    names = tuple(name.replace("test", held_out) for name in names)
    folders(tmp_path, *names)
    a, b, shown_a, shown_b = (tmp_path / name for name in names)
    for joined in (None, False):
        found = find_layout(tmp_path, joined=joined)
        named = "label" in names[0] or "input" in names[0]
        assert found == Layout(Split(a, b), Split(shown_a, shown_b), named)
        assert not found.train.joined


def test_both_sides_in_each_image(tmp_path: Path) -> None:
    folders(tmp_path, "train", "val", "test")
    for joined in (None, True):
        found = find_layout(tmp_path, joined=joined)
        assert found.train == Split(tmp_path / "train", tmp_path / "train")
        assert found.held_out == Split(tmp_path / "val", tmp_path / "val")
        assert found.train.joined


def test_nothing_may_be_held_out(tmp_path: Path) -> None:
    assert find_layout(folders(tmp_path, "trainA", "trainB", "testA")).held_out is None
    assert find_layout(folders(tmp_path / "joined", "train")).held_out is None


def test_folders_of_their_own_go_before_images_that_hold_both(tmp_path: Path) -> None:
    folders(tmp_path, "train", "trainA", "trainB")
    assert find_layout(tmp_path).train == Split(tmp_path / "trainA", tmp_path / "trainB")
    assert find_layout(tmp_path, joined=True).train.joined


@pytest.mark.parametrize(
    ("names", "joined", "message"),
    [
        ((), None, "looked for trainA and trainB, or train_A and train_B, or A/train and B/train"),
        ((), None, "or train with both halves in each image; found nothing"),
        ((), True, "looked for train with both halves in each image; found nothing"),
        (("train",), False, "or train/input and train/target; found train/"),
        (("horse2zebra/trainA",), None, "found horse2zebra/"),
        (("trainA", "testA", "testB"), None, "found testA/, testB/, trainA/; trainB is missing"),
        (("B/train",), None, "found B/; A/train is missing beside B/train"),
        ([f"{k:02}" for k in range(11)], None, "found 00/, .*, 07/, 3 more folders"),
    ],
)
def test_a_wrong_folder_is_told_what_was_looked_for_and_found(
    tmp_path: Path, names: tuple[str, ...], joined: bool | None, message: str
) -> None:
    folders(tmp_path, *names)
    with pytest.raises(BadInputError, match=message) as raised:
        find_layout(tmp_path, joined=joined)
    assert str(raised.value).startswith(f"{tmp_path}: no training data; looked for ")
    assert "\n" not in str(raised.value)


def test_files_that_lie_there_are_counted(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.PNG", "notes.txt", ".hidden"):
        (tmp_path / name).touch()
    with pytest.raises(BadInputError, match="found 2 images, 1 other files"):
        find_layout(tmp_path)
    absent = tmp_path / "absent"
    with pytest.raises(BadInputError, match=re.escape(f"{absent}: no such folder of training")):
        find_layout(absent)


def test_folders_whose_names_say_the_input_have_one_direction(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    named = find_layout(folders(tmp_path / "named", "train_label", "train_img"))
    assert named.direction("AtoB") == "AtoB" and not caplog.messages
    assert named.direction("BtoA") == "AtoB"
    (warning,) = caplog.messages
    assert "train_label and train_img: their names say which is the input" in warning
    either = find_layout(folders(tmp_path / "either", "trainA", "trainB"))
    assert [either.direction(asked) for asked in ("AtoB", "BtoA")] == ["AtoB", "BtoA"]
