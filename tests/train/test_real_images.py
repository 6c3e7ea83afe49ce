"""The tasks of `decig train` on real images: what they learn shows within a few steps."""

from pathlib import Path

import numpy as np
import pytest

from decig.train import tasks
from decig.train.engine import News
from decig.train.processes import Processes
from tests.train import originals

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


def told(folder: Path, data: Path, task: str, settings: str, **recipe: object) -> list[News]:
    text = f"learning_rate = 2e-3\nhold = 1\n{STAGES}\n{settings}"
    made = originals.write_recipe(folder, task, text, nets=PLAIN, **recipe)
    return originals.told(tasks.find(task).open_task(made, data, Processes()))


def halves(news: list[News], loss: str) -> tuple[float, float]:
    """Mean of a loss in the first quarter of a training, and in the last."""
    values = [each.losses[loss] for each in news]
    quarter = len(values) // 4
    return float(np.mean(values[:quarter])), float(np.mean(values[-quarter:]))


def test_cyclegan_learns_the_way_back(shared_data: Path, tmp_path: Path) -> None:
    sides = {"A": shared_data / "photos", "B": shared_data / "facades"}
    for side, folder in sides.items():
        for split, source in (("train", "train"), ("test", "val")):
            (tmp_path / f"{split}{side}").symlink_to(folder / source)
    news = told(tmp_path, tmp_path, "unpaired", "pool = 4")
    for loss in ("cycle_a", "cycle_b", "identity_a", "identity_b"):
        first, last = halves(news, f"generators/{loss}")
        assert last < 0.8 * first, loss


@pytest.mark.parametrize(("task", "loss"), [("paired", "l1"), ("label_map", "features")])
def test_facades_are_painted_from_their_label_maps(
    shared_data: Path, tmp_path: Path, task: str, loss: str
) -> None:
    palette = FACADES.read_text().split("palette = ")[1].split("]\n\n")[0] + "]"
    labels = f'[pixels.labels]\nencoding = "one-hot"\npalette = {palette}'
    direction = '[train.data]\ndirection = "BtoA"'
    recipe = {"labels": labels, "channels": 12, "input_range": "[0, 1]"}
    news = told(tmp_path, shared_data / "facades", task, direction, **recipe)
    if task == "paired":
        first, last = halves(news, f"generator/{loss}")
        assert last < 0.8 * first
    else:
        first, last = halves(news, "discriminator/hinge")
        assert first > last
        assert all(np.isfinite(each.losses[f"generator/{loss}"]) for each in news)
