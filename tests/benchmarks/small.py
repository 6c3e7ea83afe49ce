"""Tiny teachers, pictures and settings, with which whole benchmarks run in a minute."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from decig.data.pixels import PixelFormat
from decig.graph.model import save_model
from decig.source.resolve import resolve
from decig.source.stamp import pixels_entry, stamp
from tests.samples import generator
from tests.training.small import write_table

MODELS = Path(__file__).resolve().parents[2] / "models"
SIDE = 32
COLOURS = [[0, 0, 222], [255, 0, 0]]

SETTINGS = f"""
[train]
precision = "fp32"
[distil]
crop = {SIDE}
held_out = 2
repair_crops = 4
[supernet]
menu = 2
plans = 5
population = 5
"""

_RECIPE = """
[model]
{onnx}
input_shape = [1, 3, {side}, {side}]
[pixels]
input_range = [-1, 1]
output_range = [-1, 1]
[pixels.labels]
encoding = "colours"
palette = {colours}
[source]
python = "generator.py:ResUNet"
arguments = {{ widths = [8, 12, 16], bottleneck_blocks = 1 }}
"""


def write_recipe(folder: Path) -> Path:
    """Write a recipe of a tiny facades-resunet, with weights that nobody trained."""
    folder.mkdir(parents=True)
    shutil.copy(MODELS / "facades-resunet" / "generator.py", folder)
    file = folder / "recipe.toml"
    texts = [
        _RECIPE.format(onnx=onnx, side=SIDE, colours=COLOURS)
        for onnx in ("", 'onnx = "generator.onnx"')
    ]
    file.write_text(texts[0])
    source = resolve(str(folder))
    pixels = source.require_pixels()
    assert isinstance(pixels, PixelFormat)
    stamp(source.model.proto, {"pixels": pixels_entry(pixels)})
    save_model(source.model.proto, folder / "generator.onnx")
    file.write_text(texts[1])
    return folder


def write_stamped(path: Path) -> Path:
    """Write a tiny generator that says itself that its pixels are from 0 to 1."""
    pixels = PixelFormat((0, 1), (0, 1))
    proto = generator(size=SIDE)
    stamp(proto, {"pixels": pixels_entry(pixels)})
    save_model(proto, path)
    return path


def write_pairs(folder: Path, count: int = 6) -> Path:
    """Write images of a photo, left, and a label map, right."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        photo = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        picks = np.kron(rng.integers(0, 2, (4, 4)), np.ones((SIDE // 4, SIDE // 4), int))
        both = np.concatenate([photo, np.array(COLOURS, np.uint8)[picks]], axis=1)
        Image.fromarray(both).save(folder / f"{number}.png")
    return folder


def table_of(model: Path, folder: Path) -> Path:
    """Write a cost table of another device, by which no plan depends on this machine's speed."""
    return write_table(folder / "table.json", model)


def write_settings(folder: Path) -> Path:
    """Write settings for tiny models."""
    file = folder / "settings.toml"
    file.write_text(SETTINGS)
    return file
