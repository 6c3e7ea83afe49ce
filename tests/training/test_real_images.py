"""The tasks of `decig train` on real images: what they learn shows within a few steps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from decig.training import tasks
from decig.training.loop.processes import Processes
from decig.training.tasks import Original
from tests.training import small_originals

pytestmark = pytest.mark.slow
STAGES = "stages = [{ crop = 64, load = 72, batch = 2, steps = 40 }]"
FACADES = Path(__file__).parents[2] / "models/facades-resunet/recipe.toml"
PLAIN = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, inputs=3, width=8):
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1), nn.InstanceNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 1), nn.Tanh(),
        )
"""


def opened(folder: Path, data: Path, task: str, settings: str, **recipe: object) -> Original:
    text = f"learning_rate = 5e-3\nhold = 1\n{STAGES}\n{settings}"
    made = small_originals.write_recipe(folder, task, text, nets=PLAIN, **recipe)
    return tasks.find(task).open_task(made, data, Processes())


def losses(task: Original, group: str) -> dict[str, float]:
    """Mean of each loss of a group over the same few batches."""
    found: dict[str, list[float]] = {}
    with torch.no_grad():
        for number in range(8):
            batch = task.batch(number)
            for name, value in task.losses(group, batch, task.forward(batch)).items():
                found.setdefault(name, []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


def before_and_after(task: Original, group: str) -> tuple[dict[str, float], dict[str, float]]:
    """The losses of a group before a training and after it."""
    before = losses(task, group)
    small_originals.run(task)
    return before, losses(task, group)


def test_cyclegan_learns_the_way_back(shared_data: Path, tmp_path: Path) -> None:
    sides = {"A": shared_data / "photos", "B": shared_data / "facades"}
    for side, folder in sides.items():
        for split, source in (("train", "train"), ("test", "val")):
            (tmp_path / f"{split}{side}").symlink_to(folder / source)
    before, after = before_and_after(opened(tmp_path, tmp_path, "unpaired", ""), "generators")
    for loss in ("cycle_a", "cycle_b", "identity_a", "identity_b"):
        assert after[loss] < 0.7 * before[loss], loss


@pytest.mark.parametrize(
    ("task", "group", "loss", "share"),
    # What a photo looks like is hardly told by its label map: L1 falls, but not by much.
    [("paired", "generator", "l1", 0.97), ("label_map", "discriminator", "hinge", 0.9)],
)
def test_nets_learn_on_label_maps_of_facades(
    shared_data: Path, tmp_path: Path, task: str, group: str, loss: str, share: float
) -> None:
    palette = FACADES.read_text().split("palette = ")[1].split("]\n\n")[0] + "]"
    recipe = {
        "labels": f'[pixels.labels]\nencoding = "one-hot"\npalette = {palette}',
        "channels": 12,
        "input_range": "[0, 1]",
    }
    direction = '[train.data]\ndirection = "BtoA"'
    facades = shared_data / "facades"
    made = opened(tmp_path, facades, task, direction, **recipe)
    before, after = before_and_after(made, group)
    assert after[loss] < share * before[loss]
