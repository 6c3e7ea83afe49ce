"""A tiny generator, its cost table and photos, and compressions of it to ask for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from decig.data.pixels import PixelFormat
from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.graph.model import Model, load_model
from decig.training.compression.planner import Goal
from decig.training.compression.teacher import Teacher
from decig.training.config import Config
from decig.training.data.examples import Folders
from decig.training.loop.schedule import Budget
from tests.training.killed import save_always
from tests.training.small import Asked, with_settings, work_table
from tests.training.tiny import tiny_generator

Make = Callable[..., Asked]
"""Makes what is asked of a compression; keywords change the defaults."""
STEPS = 12


@pytest.fixture
def saving_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step leaves its state behind, whatever the clock says."""
    save_always(monkeypatch)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(tiny_generator(size=64, width=32), path)
    return load_model(path)


@pytest.fixture(scope="module")
def table(model: Model) -> CostTable:
    return work_table(model)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(10):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 10, 3), np.uint8))
        coarse.resize((80, 72), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def asked(model: Model, table: CostTable, photos: Path, tmp_path: Path) -> Make:
    rewritten = replace(table, model=replace(table.model, rewrites=("wide_head",)))
    settings = {"crop": 32, "batch": 2, "held_out": 2, "repair_crops": 4, "condense": 0.5}

    def make(**changes: Any) -> Asked:
        return Asked(
            Teacher(model, PixelFormat((0.0, 1.0), (0.0, 1.0))),
            Folders(photos),
            Goal(Target(rewritten), table.latency_us.median_ms / 2, Budget(steps=STEPS)),
            with_settings(Config.read(None), **settings),
            tmp_path / "run",
        ).but(**changes)

    return make
