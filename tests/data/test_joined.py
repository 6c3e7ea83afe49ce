from pathlib import Path

import pytest

from decig.data.images import ImageFolder
from decig.data.joined import tell_of_joined_pairs
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
    tell_of_joined_pairs(ImageFolder(tmp_path), input_size)
    assert len(caplog.records) == told
    if told:
        assert "pairs side by side" in caplog.text and f"{tmp_path}:B for" in caplog.text


def test_an_unreadable_image_is_left_to_whoever_reads_it(tmp_path, caplog):
    write_photos(tmp_path, 3, 32, 64)
    (tmp_path / "a.jpg").write_bytes(b"no image")
    tell_of_joined_pairs(ImageFolder(tmp_path), (24, 24))
    assert len(caplog.records) == 1


def test_halves_of_pairs_are_as_they_should_be(tmp_path, caplog):
    write_photos(tmp_path, 3, 32, 64)
    tell_of_joined_pairs(ImageFolder(Path(f"{tmp_path}:A")), (24, 24))
    assert not caplog.records
