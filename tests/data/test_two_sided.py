from pathlib import Path

import pytest

from decig.data.images import ImageFolder
from decig.data.two_sided import require_one_side, tell_of_two_sides
from decig.errors import BadInputError
from tests.samples import write_photos


@pytest.mark.parametrize(
    ("sizes", "input_size", "told"),
    [
        ([(32, 64)] * 3, (24, 24), 1),
        ([(32, 64)] * 3, (24, 48), 0),  # the model takes images of that form
        ([(32, 64), (40, 80)], (24, 24), 1),
        ([(32, 64), (32, 63)], (24, 24), 0),
        ([(32, 64)], (24, 24), 0),  # one image may be anything
        ([(64, 32)] * 3, (24, 24), 0),
    ],
)
def test_images_twice_as_wide_as_high_are_told(tmp_path, caplog, sizes, input_size, told):
    for number, (height, width) in enumerate(sizes):
        write_photos(tmp_path / str(number), 1, height, width)
    require_one_side(ImageFolder(tmp_path), input_size)
    assert len(caplog.records) == told
    if told:
        assert "pairs side by side" in caplog.text and f"{tmp_path}:B for" in caplog.text


def test_an_unreadable_image_is_left_to_whoever_reads_it(tmp_path, caplog):
    write_photos(tmp_path, 3, 32, 64)
    (tmp_path / "a.jpg").write_bytes(b"no image")
    require_one_side(ImageFolder(tmp_path), (24, 24))
    assert len(caplog.records) == 1


def test_halves_of_pairs_are_as_they_should_be(tmp_path, caplog):
    write_photos(tmp_path, 3, 32, 64)
    require_one_side(ImageFolder(Path(f"{tmp_path}:A")), (24, 24))
    assert not caplog.records


@pytest.mark.parametrize(
    "sides",
    [
        ("trainA", "trainB"),
        ("testA", "testB"),
        ("A/train", "B/train"),
        ("train_label", "train_img"),
        ("train/input", "train/target"),
    ],
)
def test_a_data_set_is_no_folder_of_inputs(tmp_path, caplog, sides):
    for side in sides:
        write_photos(tmp_path / side)
    with pytest.raises(BadInputError) as caught:
        require_one_side(ImageFolder(tmp_path), (24, 24))
    assert str(caught.value) == (
        f"{tmp_path}: holds both sides of a data set; name the folder of one side: "
        f"{tmp_path / sides[0]} or {tmp_path / sides[1]}"
    )
    tell_of_two_sides(ImageFolder(tmp_path), (24, 24))
    assert caplog.messages == [str(caught.value)]
    caplog.clear()
    require_one_side(ImageFolder(tmp_path / sides[0]), (24, 24))
    assert not caplog.records


def test_one_side_or_what_feeds_other_inputs_is_no_data_set(tmp_path, caplog):
    write_photos(tmp_path / "a" / "trainA")
    (tmp_path / "a" / "trainB").mkdir()
    require_one_side(ImageFolder(tmp_path / "a"), (24, 24))
    for folder in ("train", "A/train", "B/train"):
        write_photos(tmp_path / "b" / folder)
    beside = ImageFolder(tmp_path / "b", beside=["A", "B"])
    assert [file.parent.name for file in beside.files] == ["train"] * 3
    require_one_side(beside, (24, 24))
    assert not caplog.records


def test_the_part_to_train_on_is_named_where_a_whole_data_set_was_given(tmp_path, caplog):
    for part in ("train", "test"):
        write_photos(tmp_path / part, 3, 32, 64)
    require_one_side(ImageFolder(tmp_path), (24, 24))
    assert f"{tmp_path / 'train'}:A for" in caplog.text
