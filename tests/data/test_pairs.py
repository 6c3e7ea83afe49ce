from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.data import pairs as module
from decig.data.labels import Labels
from decig.data.layouts import Split
from decig.data.pairs import Pairs, Targets, by_stem
from decig.errors import BadInputError

RNG = np.random.default_rng(0)
LABELS = Labels(palette=((0, 0, 0), (255, 255, 255)))


def _save(path: Path, height: int = 8, width: int = 8) -> np.ndarray:
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def test_halves_side_by_side(tmp_path):
    whole = _save(tmp_path / "1.png", width=16)
    (right,) = Pairs(Split(tmp_path, tmp_path), "BtoA")
    (left,) = Pairs(Split(tmp_path, tmp_path), "AtoB")
    assert right.name == "1"
    assert np.array_equal(right.input, whole[:, 8:])
    assert np.array_equal(right.target, whole[:, :8])
    assert np.array_equal(left.input, right.target)


def test_odd_width_is_refused(tmp_path):
    _save(tmp_path / "odd.png", width=15)
    with pytest.raises(BadInputError, match=r"odd.png: 15x8"):
        Pairs(Split(tmp_path, tmp_path), "AtoB")


def test_inputs_snap_to_the_palette_and_targets_do_not(tmp_path):
    whole = _save(tmp_path / "1.png", width=16)
    whole[:, 8:] = np.where(whole[:, 8:] > 127, 250, 5)
    Image.fromarray(whole).save(tmp_path / "1.png")
    (pair,) = Pairs(Split(tmp_path, tmp_path), "BtoA", LABELS)
    assert set(np.unique(pair.input)) <= {0, 255}
    assert np.array_equal(pair.target, whole[:, :8])


def test_folders_match_by_stem(tmp_path):
    inputs = {name: _save(tmp_path / "in" / f"{name}.png") for name in ("a", "b")}
    targets = {name: _save(tmp_path / "out" / f"{name}.bmp") for name in ("a", "b", "spare")}
    inputs["more/c"] = _save(tmp_path / "in" / "more" / "c.png")
    targets["more/c"] = _save(tmp_path / "out" / "c.png")
    pairs = list(by_stem(tmp_path / "in", tmp_path / "out"))
    assert [pair.name for pair in pairs] == ["a", "b", "more/c"]
    for pair in pairs:
        assert np.array_equal(pair.input, inputs[pair.name])
        assert np.array_equal(pair.target, targets[pair.name])


def test_the_whole_path_counts_where_names_come_twice(tmp_path):
    targets = {}
    for name in ("a", "one/a", "two/a"):
        _save(tmp_path / "in" / f"{name}.png")
        targets[name] = _save(tmp_path / "out" / f"{name}.png")
    pairs = list(by_stem(tmp_path / "in", tmp_path / "out"))
    assert [pair.name for pair in pairs] == ["a", "one/a", "two/a"]
    assert all(np.array_equal(pair.target, targets[pair.name]) for pair in pairs)
    (tmp_path / "out" / "one" / "a.png").unlink()
    with pytest.raises(BadInputError, match=r"no image called one/a, and several a, in "):
        list(by_stem(tmp_path / "in", tmp_path / "out"))


def test_missing_target_and_unequal_sizes_are_named(tmp_path):
    _save(tmp_path / "in" / "a.png")
    _save(tmp_path / "out" / "b.png")
    with pytest.raises(BadInputError, match=r"a\.png: no image called a"):
        list(by_stem(tmp_path / "in", tmp_path / "out"))
    _save(tmp_path / "out" / "a.png", width=12)
    with pytest.raises(BadInputError, match=r"a\.png: input is 8x8, its target 12x8"):
        list(by_stem(tmp_path / "in", tmp_path / "out"))


def test_two_targets_that_differ_in_their_suffix_belong_to_nobody(tmp_path):
    """As in the CMP Facade Database: photos are .jpg, their label maps .png of the same names."""
    _save(tmp_path / "in" / "a.png")
    _save(tmp_path / "out" / "a.png")
    _save(tmp_path / "out" / "a.jpg")
    assert Targets(tmp_path / "out").of("a") is None
    with pytest.raises(BadInputError, match=r"a\.png: no image called a, and several a, in "):
        list(by_stem(tmp_path / "in", tmp_path / "out"))


def test_targets_may_have_to_be_larger_than_their_inputs(tmp_path):
    _save(tmp_path / "in" / "a.png", width=16)
    large = np.zeros((16, 32, 3), np.uint8)
    (tmp_path / "out").mkdir()
    Image.fromarray(large).save(tmp_path / "out" / "a.png")
    (pair,) = by_stem(tmp_path / "in", tmp_path / "out", scale=2)
    assert pair.input.shape == (8, 16, 3) and pair.target.shape == (16, 32, 3)
    message = r"input is 16x8, its target 32x16; make the target 64x32, as the model's pictures are"
    with pytest.raises(BadInputError, match=message):
        list(by_stem(tmp_path / "in", tmp_path / "out", scale=4))


def test_a_pair_with_a_corrupt_target_is_named_and_left_out(tmp_path, caplog):
    for name in ("a", "b"):
        _save(tmp_path / "in" / f"{name}.png")
        _save(tmp_path / "out" / f"{name}.png")
    (tmp_path / "out" / "a.png").write_bytes(b"no picture")
    assert [pair.name for pair in by_stem(tmp_path / "in", tmp_path / "out")] == ["b"]
    assert "a.png" in caplog.text


def test_either_side_may_be_the_input(tmp_path):
    whole = _save(tmp_path / "train" / "1.png", width=16)
    a, b = (_save(tmp_path / side / "1.png") for side in "AB")
    joined, apart = Split(*(tmp_path / "train",) * 2), Split(tmp_path / "A", tmp_path / "B")
    for split, first, second in ((joined, whole[:, :8], whole[:, 8:]), (apart, a, b)):
        for direction, sides in (("AtoB", (first, second)), ("BtoA", (second, first))):
            (pair,) = Pairs(split, direction)
            assert np.array_equal(pair.input, sides[0]) and np.array_equal(pair.target, sides[1])


def test_labels_are_those_of_the_input_side(tmp_path):
    flat = np.zeros((8, 8, 3), np.uint8)
    flat[4:] = 250
    (tmp_path / "A").mkdir()
    Image.fromarray(flat).save(tmp_path / "A/1.png")
    photo = _save(tmp_path / "B" / "1.png")
    (tmp_path / "train").mkdir()
    Image.fromarray(np.concatenate([flat, photo], axis=1)).save(tmp_path / "train/1.png")
    for split in (Split(*(tmp_path / "train",) * 2), Split(tmp_path / "A", tmp_path / "B")):
        (pair,) = Pairs(split, "AtoB", LABELS)
        assert set(np.unique(pair.input)) == {0, 255} and np.array_equal(pair.target, photo)
        with pytest.raises(BadInputError, match=r"1\.png: no label map: .*\(direction\)"):
            Pairs(split, "BtoA", LABELS)
        Pairs(split, "BtoA")


def test_pairs_are_read_once_while_there_is_room(tmp_path, monkeypatch):
    for name in "abc":
        _save(tmp_path / f"{name}.png", width=16)
    split, room = Split(tmp_path, tmp_path), 2 * 8 * 16 * 3
    for free, kept in ((room, 2), (room - 1, 1), (0, 0)):
        monkeypatch.setattr(module, "ROOM_BYTES", free)
        pairs = Pairs(split, "AtoB")
        first, again = list(pairs), list(pairs)
        assert sum(a is b for a, b in zip(first, again, strict=True)) == kept
        for one, other in zip(first, again, strict=True):
            assert np.array_equal(one.input, other.input) and one.name == other.name


def test_an_unreadable_pair_is_named_once_and_replaced_by_the_next(tmp_path, caplog):
    for side in ("A", "B"):
        for name in "abc":
            _save(tmp_path / side / f"{name}.png")
    (tmp_path / "B/c.png").write_bytes(b"no picture")
    pairs = Pairs(Split(tmp_path / "A", tmp_path / "B"), "AtoB")
    pairs.require_at_least(8)
    assert [pairs[number].name for number in (2, 1, 2)] == ["a", "b", "a"]
    (warning,) = caplog.messages
    assert "B/c.png" in warning
    for name in "ab":
        (tmp_path / f"A/{name}.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match="A: none of its 3 pairs is readable"):
        Pairs(Split(tmp_path / "A", tmp_path / "B"), "AtoB")


def test_sizes_are_known_before_images_are_read(tmp_path):
    for name in "ab":
        _save(tmp_path / "joined" / f"{name}.png", 12, 20)
        for side in "AB":
            _save(tmp_path / side / f"{name}.png", 12, 20)
    joined, apart = Split(*[tmp_path / "joined"] * 2), Split(tmp_path / "A", tmp_path / "B")
    for split, largest in ((joined, 10), (apart, 12)):
        pairs = Pairs(split, "AtoB")
        pairs.require_at_least(largest)
        with pytest.raises(BadInputError, match=r"a\.png: a .*x12 image is too small for 13x13"):
            pairs.require_at_least(13)
    _save(tmp_path / "joined/b.png", 12, 21)
    with pytest.raises(BadInputError, match=r"b\.png: 21x12 cannot hold two halves"):
        Pairs(joined, "AtoB").require_at_least(1)
    _save(tmp_path / "B/b.png", 12, 16)
    with pytest.raises(BadInputError, match=r"b\.png: input is 20x12, its target 16x12"):
        Pairs(apart, "AtoB").require_at_least(1)


def test_facades(shared_data):
    folder = shared_data / "facades" / "val"
    pairs = Pairs(Split(folder, folder), "BtoA")
    pairs.require_at_least(256)
    pair = pairs[0]
    assert len(pairs) == 100
    assert pair.input.shape == pair.target.shape == (256, 256, 3)
    # Labels are saturated colours, photos are not.
    assert np.ptp(pair.input, axis=-1).mean() > 150 > np.ptp(pair.target, axis=-1).mean()


def test_targets_are_found_by_path_or_by_a_name_of_their_own(tmp_path):
    for name in ("a.png", "x/b.png", "y/b.png", "x/c.png"):
        _save(tmp_path / name)
    targets = Targets(tmp_path)
    assert targets.of("a") == targets.of("sub/a") == tmp_path / "a.png"
    assert targets.of("y/b") == tmp_path / "y/b.png"
    assert targets.of("b") is None
    assert targets.several("b")
    assert targets.of("c") == tmp_path / "x/c.png"
    assert targets.of("d") is None
    assert not targets.several("d")
