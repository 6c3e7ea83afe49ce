from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.data.labels import Labels
from decig.data.pairs import Targets, by_stem, side_by_side
from decig.errors import BadInputError

RNG = np.random.default_rng(0)


def _save(path: Path, height: int = 8, width: int = 8) -> np.ndarray:
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def test_halves_side_by_side(tmp_path):
    whole = _save(tmp_path / "1.png", width=16)
    (right,) = side_by_side(tmp_path, "right")
    (left,) = side_by_side(tmp_path, "left")
    assert right.name == "1"
    assert np.array_equal(right.input, whole[:, 8:])
    assert np.array_equal(right.target, whole[:, :8])
    assert np.array_equal(left.input, right.target)


def test_odd_width_is_refused(tmp_path):
    _save(tmp_path / "odd.png", width=15)
    with pytest.raises(BadInputError, match=r"odd.png: 15x8"):
        side_by_side(tmp_path)


def test_inputs_snap_to_the_palette_and_targets_do_not(tmp_path):
    labels = Labels(palette=((0, 0, 0), (255, 255, 255)))
    whole = _save(tmp_path / "1.png", width=16)
    (pair,) = side_by_side(tmp_path, "right", labels)
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


def test_a_pair_with_a_corrupt_target_is_named_and_left_out(tmp_path, caplog):
    for name in ("a", "b"):
        _save(tmp_path / "in" / f"{name}.png")
        _save(tmp_path / "out" / f"{name}.png")
    (tmp_path / "out" / "a.png").write_bytes(b"no picture")
    assert [pair.name for pair in by_stem(tmp_path / "in", tmp_path / "out")] == ["b"]
    assert "a.png" in caplog.text


def test_facades(shared_data):
    pair = side_by_side(shared_data / "facades" / "val")[0]
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
