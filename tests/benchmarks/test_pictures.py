"""Folders of pictures that benchmarks make of others."""

from pathlib import Path

import numpy as np
import pytest
from pictures import write_domains, write_halves
from PIL import Image

from decig.data.labels import parse_labels
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.errors import DecigError
from tests.benchmarks.small import COLOURS, SIDE, write_pairs
from tests.samples import write_generator, write_photos


def test_halves_of_pairs(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs", 3)
    palette = ",".join("".join(f"{c:02x}" for c in colour) for colour in COLOURS)
    inputs, targets = write_halves(pairs, parse_labels(palette, "colours"), tmp_path / "made")
    for number in range(3):
        both = np.array(Image.open(pairs / f"{number}.png"))
        found = [np.array(Image.open(side / f"{number}.png")) for side in (targets, inputs)]
        assert (np.concatenate(found, axis=1) == both).all()


def test_domains_share_no_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = write_photos(tmp_path / "photos", 5, 40, 40)
    style = write_generator(tmp_path / "style.onnx", size=SIDE)
    pixels, folders = PixelFormat((0, 1), (0, 1)), (tmp_path / "trainA", tmp_path / "trainB")
    plain, styled = write_domains(photos, style, pixels, SIDE, folders)
    assert sorted(path.stem for path in plain.glob("*.png")) == ["a", "c", "e"]
    assert sorted(path.stem for path in styled.glob("*.png")) == ["b", "d"]
    assert np.array(Image.open(styled / "b.png")).shape == (SIDE, SIDE, 3)

    def painted(*_: object) -> None:
        raise AssertionError("paints once more what is there already")

    monkeypatch.setattr(Device, "open", painted)
    write_domains(photos, style, pixels, SIDE, folders)


def test_a_folder_without_pairs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DecigError, match="no such folder"):
        write_halves(tmp_path / "nothing", None, tmp_path / "made")
