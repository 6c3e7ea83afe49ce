"""Small originals that are condensed while they train, and cost tables for them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from decig.device.cost.table import CostTable
from decig.device.plan.wanted import Wanted
from decig.source.recipe import Recipe
from decig.source.resolve import resolve
from decig.training.originals import original
from decig.training.originals.condensing_goal import CondensingGoal
from tests.training import small_originals
from tests.training.small import work_table

NETS = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, inputs=3, width=16):
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Dropout(0.2), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 1), nn.Tanh(),
        )
"""
STEPS = 24
"""Of all trainings here; half of them are stage I."""
KINDS: dict[str, dict[str, Any]] = {
    "paired": {},
    "unpaired": {},
    "label_map": {"labels": small_originals.ONE_HOT, "channels": 4, "input_range": "[0, 1]"},
}
"""What recipes of the tasks say beside their names."""


def write(folder: Path, task: str = "paired", *settings: str, nets: str = NETS) -> Recipe:
    """Write a recipe and data for it, into the folder `data` beside it."""
    if not (folder / "data").exists():
        small_originals.write_data(folder / "data", task)
    stages = small_originals.STAGES.replace("steps = 6", f"steps = {STEPS}")
    text = "\n".join([*settings, stages])
    return small_originals.write_recipe(folder, task, text, nets=nets, **KINDS[task])


def table_of(recipe: Recipe) -> CostTable:
    """The table of another device, taken with random weights; it tells latency by work."""
    model = resolve(str(recipe.folder), untrained=True).model
    table = work_table(model)
    return replace(table, device=replace(table.device, cpu="another"))


def wanted(table: CostTable, speedup: float | None = 3.0, method: str = "decig") -> CondensingGoal:
    """Ask for a speed-up by a table; None asks for the hinges."""
    target = None if speedup is None else Wanted("speedup", speedup)
    return CondensingGoal(table, target, method, force=True)


def train(recipe: Recipe, run: Path, asked: CondensingGoal, **options: Any) -> Path:
    """Train a recipe in a folder, with its data beside it; returns the file."""
    found = original.train(recipe, run, data=recipe.folder / "data", wanted=asked, **options)
    assert found is not None
    return found
