"""What cannot be condensed, or shrunk by latents, is refused before a step is taken."""

import shutil
from pathlib import Path

import onnx
import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable
from decig.device.plan.planner import fastest_widths
from decig.device.plan.target import Target
from decig.errors import BadInputError, TargetMissedError
from decig.graph.channels import analyse
from decig.source.recipe import load_recipe
from decig.training.loop import engine
from decig.training.narrowing import hypernetworks
from decig.training.originals.pair_task import PairTask
from tests.device.bench import FakeBench
from tests.training import condensable
from tests.training.condensable import table_of, train, wanted, write


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.Engine, "run", lambda _: pytest.fail("a step was taken"))


def test_a_method_that_cannot_is_refused_before_data_is_read(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    table = table_of(recipe)
    shutil.rmtree(tmp_path / "data")
    message = "'supernet' needs a trained generator: train with decig or hypernet, or without"
    with pytest.raises(BadInputError, match=message):
        train(recipe, tmp_path / "run", wanted(table, method="supernet"))
    with pytest.raises(BadInputError, match="hypernet shrinks until a target is reached: give"):
        train(recipe, tmp_path / "run", wanted(table, None, "hypernet"))
    with pytest.raises(BadInputError, match="no method is called 'hyper'"):
        train(recipe, tmp_path / "run", wanted(table, method="hyper"))
    assert not (tmp_path / "run").exists()


def test_a_latency_that_no_cut_will_reach_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Narrower than the table says to be needed is measured: no step is taken in vain."""
    recipe = write(tmp_path)
    table = table_of(recipe)
    predictor = Predictor(table)
    narrowest = fastest_widths(predictor, predictor.groups)
    found: list[dict[str, int]] = []

    def ms(proto: onnx.ModelProto) -> float:
        found.append({group.name: group.channels for group in analyse(proto).prunable})
        return predictor.predict_ms(narrowest)

    def here(table: CostTable, *_: object, **__: object) -> Target:
        return Target(table, FakeBench(ms))

    monkeypatch.setattr(Target, "of", here)
    speedup = table.as_it_is_ms / predictor.predict_ms(narrowest) * 1.2
    with pytest.raises(TargetMissedError, match=r"out of reach: with every .* as measured"):
        train(recipe, tmp_path / "run", wanted(table, speedup))
    assert found and all(widths == narrowest for widths in found)
    assert not (tmp_path / "run").exists()


def test_hypernetworks_that_do_not_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypernetworks, "free_bytes", lambda _: 2**16)
    recipe = write(tmp_path, "paired", "hypernet = { embedding = 8 }")
    with pytest.raises(BadInputError, match=r"\[train\.hypernet\] embedding = 8: hypernetworks of"):
        train(recipe, tmp_path / "run", wanted(table_of(recipe), method="hypernet"))


def test_what_cannot_be_condensed_is_refused_before_training(tmp_path: Path) -> None:
    recipe, run = write(tmp_path), tmp_path / "run"
    table = table_of(recipe)
    with pytest.raises(TargetMissedError, match="out of reach"):
        train(recipe, run, wanted(table, 1000.0))
    larger = write(tmp_path, nets=condensable.NETS.replace("3, padding=1)", "5, padding=2)"))
    with pytest.raises(BadInputError, match=r"made for another model .*profile this one"):
        train(larger, run, wanted(table))
    computed = """
from torch import nn
class Halved(nn.Conv2d):
    def forward(self, x):
        return nn.functional.conv2d(x, self.weight * 0.5)
class Net(nn.Sequential):
    def __init__(self, inputs=3):
        super().__init__(nn.Conv2d(inputs, 8, 3, padding=1), nn.ReLU(), Halved(8, 3, 1))
"""
    recipe = write(tmp_path, nets=computed)
    with pytest.raises(BadInputError, match="no group of its channels is read by weights of its"):
        train(recipe, run, wanted(table_of(recipe), None))
    baked = condensable.NETS.replace("nn.Dropout(0.2)", "nn.Upsample(size=(32, 32))")
    recipe = write(tmp_path, nets=baked)
    table = table_of(recipe)
    text = (tmp_path / "recipe.toml").read_text()
    stages = text.replace("batch = 2, steps", "batch = 2, steps = 2 }, { crop = 40, steps")
    (tmp_path / "recipe.toml").write_text(stages)
    with pytest.raises(BadInputError, match="40"):
        train(load_recipe(tmp_path), run, wanted(table))
    assert not run.exists()


def test_a_net_that_latents_cannot_narrow_is_refused(tmp_path: Path) -> None:
    summed = """
from torch import nn
class Net(nn.Module):
    def __init__(self, inputs=3):
        super().__init__()
        self.inner, self.outer = nn.Conv2d(inputs, 8, 3, padding=1), nn.Conv2d(inputs, 3, 1)
    def forward(self, x):
        return self.outer(x) * self.inner(x).relu().sum(1, keepdim=True)
"""
    recipe = write(tmp_path, nets=summed)
    with pytest.raises(BadInputError, match="no group of its channels is read by weights of its"):
        train(recipe, tmp_path / "run", wanted(table_of(recipe), 1.1, "hypernet"))


def test_a_task_that_cannot_condense_says_what_it_lacks(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    table = table_of(recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(PairTask, "paint")
        with pytest.raises(BadInputError, match="cannot condense them, as it has no paint;"):
            train(recipe, tmp_path / "run", wanted(table))
