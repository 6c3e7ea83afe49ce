"""Folders of pictures that benchmarks make of others: halves of pairs, and styled photos."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from decig.data.crops import fit
from decig.data.images import ImageFolder
from decig.data.labels import Labels
from decig.data.layouts import Split
from decig.data.pairs import Pairs
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.files import write_json
from decig.graph.model import input_info, load_model
from decig.schema import read_json

_MADE = "made.json"


def write_halves(
    pairs: Path,
    labels: Labels | None,
    folder: Path,
    direction: str = "BtoA",
    most: int | None = None,
) -> tuple[Path, Path]:
    """Write both halves of images that hold pairs side by side; what is there already stays.

    Args:
        pairs: folder of such images.
        labels: how inputs are read, where they are label maps; they are written in clean colours.
        folder: where the two folders go.
        direction: "BtoA" takes the right half as the input.
        most: how many pairs are written at most, the first ones; all if None.

    Returns:
        Folders of the inputs and of their targets.

    Raises:
        BadInputError: there is no usable pair.
    """
    inputs, targets = folder / "inputs", folder / "targets"
    found = Pairs(Split(pairs, pairs), direction, labels)
    count = min(len(found), most or len(found))
    asked = {"pairs": str(pairs), "count": count, "direction": direction}
    if not _made(folder, asked):
        _write(inputs, ((found[n].name, found[n].input) for n in range(count)))
        _write(targets, ((found[n].name, found[n].target) for n in range(count)))
        write_json(folder / _MADE, asked)
    return inputs, targets


def write_domains(
    photos: Path, style: Path, pixels: PixelFormat, side: int, folders: tuple[Path, Path]
) -> tuple[Path, Path]:
    """Write every other photo as it is, and the rest as a model paints them: nothing is aligned.

    Args:
        photos: folder of photos.
        style: ONNX file of the model.
        pixels: of the model.
        side: height and width of what is written, in pixels.
        folders: for the photos and for the styled pictures; what is there already stays.

    Returns:
        These folders.

    Raises:
        BadInputError: there is no usable photo, or the model cannot be run.
    """
    plain, styled = folders
    found = ImageFolder(photos)
    asked = {"photos": str(photos), "count": len(found), "style": style.name, "side": side}
    if not _made(styled, asked):
        shape = input_info(load_model(style).proto)[0].shape
        session, size = Device.for_work().open(style), pixels.size_of(shape)
        name = session.get_inputs()[0].name

        def paint(picture: np.ndarray) -> np.ndarray:
            tensor = pixels.to_tensor(fit(picture, *size)[None], pixels.channels_of(shape))
            return pixels.from_tensor(session.run(None, {name: tensor})[0])[0]

        read = list(found)
        _write(plain, ((path.stem, fit(fit(p, *size), side, side)) for path, p in read[::2]))
        _write(styled, ((path.stem, fit(paint(p), side, side)) for path, p in read[1::2]))
        write_json(styled / _MADE, asked)
    return plain, styled


def _made(folder: Path, asked: dict[str, object]) -> bool:
    file = folder / _MADE
    return file.exists() and read_json(file, dict[str, object], "record of pictures") == asked


def _write(folder: Path, pictures: Iterable[tuple[str, np.ndarray]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, picture in pictures:
        Image.fromarray(picture).save(folder / f"{name}.png")
