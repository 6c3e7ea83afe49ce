"""Small originals for tests of the tasks of `decig train`: recipes, data sets, and killed runs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from decig.source.recipe import Recipe, load_recipe
from decig.training.loop.engine import Engine, News
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.tasks import Original

SIDE = 40
"""Pixels of the images of a data set."""

NETS = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, inputs=3, width=4):
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Dropout(0.2), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, 3, 1), nn.Tanh(),
        )
"""
RECIPE = """
[model]
input_shape = [1, {channels}, 32, 32]
[pixels]
input_range = {input_range}
output_range = [-1, 1]
{labels}
[source]
python = "net.py:Net"
arguments = {{ inputs = {channels} }}
[train]
task = "{task}"
discriminator_width = 4
{settings}
"""
STAGES = "stages = [{ crop = 32, load = 36, batch = 2, steps = 6 }]"
SIDE_BY_SIDE = """
[model]
onnx = "generator.onnx"
input_shape = [1, 3, {side}, {side}]
[pixels]
input_range = [-1, 1]
output_range = {output_range}
[source]
python = "net.py:Net"
[train]
discriminator_width = 4
stages = {stages}
[train.data]
layout = "side-by-side"
direction = "BtoA"
"""
"""A recipe of pairs; what tests change of it stands on lines of its own."""
NORMED = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 3, 1)
        )
"""
PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))
ONE_HOT = f"[pixels.labels]\npalette = {[list(colour) for colour in PALETTE]}"


def write_recipe(
    folder: Path,
    task: str,
    settings: str = STAGES,
    *,
    labels: str = "",
    channels: int = 3,
    input_range: str = "[-1, 1]",
    nets: str = NETS,
) -> Recipe:
    """Write a recipe and its net into a folder; see `RECIPE`."""
    (folder / "net.py").write_text(nets)
    text = RECIPE.format(
        task=task, settings=settings, labels=labels, channels=channels, input_range=input_range
    )
    (folder / "recipe.toml").write_text(text)
    return load_recipe(folder)


def rewrite_recipe(folder: Path, text: str, *changes: tuple[str, str]) -> Recipe:
    """Write a recipe with some of its text replaced; its net is there already."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / "recipe.toml").write_text(text)
    return load_recipe(folder)


def write_pairs(folder: Path, side: int) -> Path:
    """Write pairs of noise, side by side, to train on and to show: three of each."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        for number in range(3):
            noise = rng.integers(0, 256, (side, 2 * side, 3), np.uint8)
            Image.fromarray(noise).save(folder / split / f"{number}.png")
    return folder


def write_images(folder: Path, count: int, seed: int = 0, width: int = SIDE) -> None:
    """Write images 0.png, 1.png, ... of noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        noise = rng.integers(0, 256, (SIDE, width, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")


def write_labels(folder: Path, count: int) -> None:
    """Write label maps 0.png, 1.png, ...: blocks in the colours of `PALETTE`."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    for number in range(count):
        blocks = np.array(PALETTE, np.uint8)[rng.integers(0, len(PALETTE), (4, 4))]
        large = blocks.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)
        Image.fromarray(large).save(folder / f"{number}.png")


def write_data(folder: Path, task: str) -> Path:
    """Write the smallest data set that a task trains on, in a layout that people have."""
    for split, count in (("train", 5), ("test", 2)):
        if task == "unpaired":
            write_images(folder / f"{split}A", count)
            write_images(folder / f"{split}B", count + 2, seed=1)
        elif task == "label_map":
            write_labels(folder / f"{split}_label", count)
            write_images(folder / f"{split}_img", count)
        else:
            write_images(folder / split, count, width=2 * SIDE)
    return folder


def run(task: Original, **options: Any) -> Engine:
    """Train a task to its end."""
    engine = Engine(task, Budget(steps=task.steps), Processes(), seed=task.seed, **options)
    engine.resume()
    engine.run()
    return engine


def told(task: Original) -> list[News]:
    """Train a task to its end; returns what was reported of each step."""
    news: list[News] = []
    run(task, report=news.append)
    return news


def with_rank(rank: int, count: int = 1) -> Processes:
    """The processes of a run as one of them sees them."""
    processes = Processes()
    processes.rank, processes.count = rank, count
    return processes


def state_of(engine: Engine) -> dict[str, torch.Tensor]:
    """Every number that a run ends with: of nets, means, optimisers and memories, by name."""
    found: dict[str, torch.Tensor] = {}

    def collect(value: Any, name: str) -> None:
        if isinstance(value, torch.Tensor):
            found[name] = value.clone()
        elif isinstance(value, dict):
            for key, part in value.items():
                collect(part, f"{name}.{key}")
        elif isinstance(value, list | tuple):
            for key, part in enumerate(value):
                collect(part, f"{name}.{key}")

    memories = {name: memory.state_dict() for name, memory in engine.task.memories.items()}
    collect(engine._state(memories) | {"step": None, "elapsed_s": None}, "")
    return found


def gradients_of(task: Original, group: str) -> dict[str, bool]:
    """Tell which nets the losses of a group send gradients to, by the name of the net.

    The net's weights must agree on it; their gradients begin empty.
    """
    for net in task.nets.values():
        net.zero_grad()
    batch = task.batch(0)
    terms = task.losses(group, batch, task.forward(batch))
    torch.stack(list(terms.values())).sum().backward()
    found = {}
    for name, net in task.nets.items():
        weights = [parameter for parameter in net.parameters() if parameter.ndim > 1]
        reached = {weight.grad is not None and bool(weight.grad.any()) for weight in weights}
        assert len(reached) == 1, f"only some weights of {name} receive gradients"
        found[name] = reached.pop()
    return found
