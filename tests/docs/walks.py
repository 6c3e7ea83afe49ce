"""The files that a reader of each page has, as small stand-ins."""

import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from decig.data.pixels import PixelFormat
from decig.deploy.pixel_io import wrap
from decig.graph.model import load_model
from decig.source.recipe import load_recipe
from tests.samples import PIXELS, decig, generator, write_photos

ROOT = Path(__file__).resolve().parents[2]
SIDE, PHOTOS = 48, 12
"""Pixels of the pictures, and how many images a folder has."""


def walked(page: str) -> bool:
    """Whether there are files for a page, by its name."""
    return page in _FILES


def furnish(home: Path, page: str) -> None:
    """Put a reader's files into a folder, and the programs that a page calls into its bin/."""
    _programs(home / "bin")
    _FILES[page](home)


def furnish_for_python(home: Path) -> None:
    """Put the files into a folder that the Python blocks of other pages name."""
    _from_data(home)
    _painter(home / "udnie.onnx")
    _photos(home / "photos")
    made = decig("slice", home / "udnie.onnx", "-o", home / "small.onnx", "--keep", 0.5, *PIXELS)
    assert made.exit_code == 0, made.stderr
    of_bytes = wrap(load_model(home / "udnie.onnx").proto, PixelFormat((0, 1), (0, 1)))
    onnx.save(of_bytes, home / "udnie-small.onnx")


def _programs(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, command in (("decig", "-m tests.docs.standin"), ("python", "")):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)


def _readme(home: Path) -> None:
    _painter_of_bytes(home / "udnie.onnx")
    for part in ("train", "val"):
        _photos(home / "photos" / part)


def _models(home: Path) -> None:
    _painter_of_bytes(home / "udnie.onnx")
    _code(home)
    for folder in ("photos", "more-photos"):
        _photos(home / folder)


def _from_data(home: Path) -> None:
    folder = home / "models/cyclegan-resnet9"
    shutil.copytree(ROOT / "models/cyclegan-resnet9", folder)
    _shrink(folder / "recipe.toml")
    text = (folder / "recipe.toml").read_text("utf-8")
    assert "width = 64, blocks = 9" in text
    assert text.endswith("seed = 1\n")
    text = text.replace("width = 64, blocks = 9", "width = 16, blocks = 1")
    text += "discriminator_width = 4\nstages = [{ crop = 64, load = 72, steps = 2 }]\n"
    (folder / "recipe.toml").write_text(text, "utf-8")
    for part in ("trainA", "trainB", "testA", "testB"):
        write_photos(home / "horse2zebra" / part, PHOTOS, 80, 80)
    folder = home / "models/pix2pix-unet256"
    shutil.copytree(ROOT / "models/pix2pix-unet256", folder)
    _shrink(folder / "recipe.toml")
    text = (folder / "recipe.toml").read_text("utf-8")
    assert "width = 64, levels = 8" in text
    assert "seed = 1\n" in text
    text = text.replace("width = 64, levels = 8", "width = 16, levels = 6")
    stages = "stages = [{ crop = 64, load = 72, steps = 2 }]\n"
    text = text.replace("seed = 1\n", f"seed = 1\ndiscriminator_width = 4\n{stages}")
    (folder / "recipe.toml").write_text(text, "utf-8")
    _facades(home / "facades")


def _export(home: Path) -> None:
    (home / "run").mkdir()
    _painter(home / "run/generator.onnx")
    _recipe(home / "run/recipe.toml", "[0, 1]")
    _photos(home / "photos")


def _quality(home: Path) -> None:
    _ci(home)
    _photos(home / "labels")


def _onnx_file(home: Path) -> None:
    folder = home / "models/facades-resunet"
    folder.mkdir(parents=True)
    _painter(folder / "generator.onnx")
    for part in ("train", "val"):
        _photos(folder / "labels" / part)


def _pytorch_checkpoint(home: Path) -> None:
    import torch

    for recipe, weights, arguments in (
        ("cyclegan-resnet9", "latest_net_G_A.pth", {"width": 16, "blocks": 1}),
        ("pix2pix-unet256", "latest_net_G.pth", {"width": 16, "levels": 6}),
    ):
        shutil.copytree(ROOT / "models" / recipe, home / "models" / recipe)
        _shrink(home / "models" / recipe / "recipe.toml")
        torch.save(_module(home / "models" / recipe, arguments).state_dict(), home / weights)
    _code(home)
    for part in ("trainA", "testA"):
        _photos(home / "horse2zebra" / part)
    _facades(home / "facades")


def _ci(home: Path) -> None:
    _painter(home / "big.onnx")
    _photos(home / "photos")
    made = decig("slice", home / "big.onnx", "-o", home / "small.onnx", "--keep", 0.5, *PIXELS)
    assert made.exit_code == 0, made.stderr


def _edge_box(home: Path) -> None:
    _painter(home / "big.onnx", width=16)
    _photos(home / "photos")


def _comparing_methods(home: Path) -> None:
    _onnx_file(home)
    _recipe(home / "models/facades-resunet/recipe.toml", "[-1, 1]")


def _recipe(path: Path, values: str) -> None:
    """A recipe for generator.onnx beside it, whose black and white are the ends of a range."""
    path.write_text(
        f'[model]\nonnx = "generator.onnx"\ninput_shape = [1, 3, {SIDE}, {SIDE}]\n'
        f"[pixels]\ninput_range = {values}\noutput_range = {values}\n"
    )


def _code(home: Path) -> None:
    """A network as code, and its weights."""
    import torch

    (home / "net.py").write_text(_NET)
    names: dict[str, type[torch.nn.Module]] = {}
    exec(_NET, names)
    torch.manual_seed(0)
    torch.save(names["Gen"]().state_dict(), home / "checkpoint.pth")


def _painter_of_bytes(path: Path) -> None:
    """A generator of values from 0 to 255."""
    proto = generator(size=SIDE, width=16)
    white = onnx.numpy_helper.from_array(np.float32([255.0]), "white")
    proto.graph.initializer.append(white)
    proto.graph.node[-1].output[0] = "share"
    scaled = onnx.helper.make_node("Mul", ["share", "white"], ["picture"], name="scale")
    proto.graph.node.append(scaled)
    onnx.save(proto, path)


def _painter(path: Path, width: int = 16) -> None:
    """A generator of values from 0 to 1, which also pass as some from -1 to 1."""
    onnx.save(generator(size=SIDE, width=width), path)


def _photos(folder: Path) -> None:
    write_photos(folder, PHOTOS, 60, 64)


def _facades(folder: Path) -> None:
    """A data set of pix2pix: in each image, a photo on the left and its label map on the right."""
    labels = load_recipe(ROOT / "models/pix2pix-unet256").pixels.labels
    assert labels is not None
    colours = np.uint8(labels.palette)
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        write_photos(folder / part, PHOTOS, 80, 80)
        for photo in sorted((folder / part).iterdir()):
            label_map = colours[rng.integers(0, len(colours), (5, 5))].repeat(16, 0).repeat(16, 1)
            both = np.hstack([np.asarray(Image.open(photo)), label_map])
            photo.unlink()
            Image.fromarray(both).save(photo.with_suffix(".png"))


def _shrink(recipe: Path) -> None:
    """Let a recipe take small pictures: that is all that its weights do not say."""
    text = recipe.read_text("utf-8")
    assert "256, 256" in text
    recipe.write_text(text.replace("256, 256", "64, 64"), "utf-8")


def _module(folder: Path, arguments: dict[str, int]) -> "object":
    import torch

    from decig.training.pytorch.generator import build_generator

    recipe = load_recipe(folder)
    assert recipe.source is not None
    recipe.source.arguments.update(arguments)
    torch.manual_seed(0)
    return build_generator(recipe.source, recipe.folder)


_NET = """from torch import nn


class Gen(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1))
"""

_FILES: dict[str, Callable[[Path], None]] = {
    "README": _readme,
    "models": _models,
    "from-data": _from_data,
    "export": _export,
    "quality": _quality,
    "onnx-file": _onnx_file,
    "pytorch-checkpoint": _pytorch_checkpoint,
    "ci": _ci,
    "edge-box": _edge_box,
    "comparing-methods": _comparing_methods,
}
