"""Which statistics the exported generators of a recipe use that says nothing of them."""

import logging
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from decig.source.recipe import Recipe
from decig.training import tasks
from decig.training.loop.processes import Processes
from decig.training.originals.fitting import warn_of_range, with_fitting_statistics
from tests.training.small_originals import NORMED, SIDE_BY_SIDE, rewrite_recipe, write_pairs

PLAIN = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1))
"""


def found(
    folder: Path,
    *,
    net: str = NORMED,
    batches: tuple[int, ...] = (1,),
    said: bool | None = None,
    condensed: bool = False,
) -> bool | None:
    stages = ", ".join(f"{{ crop = 32, batch = {batch}, steps = 2 }}" for batch in batches)
    text = SIDE_BY_SIDE.format(side=64, output_range="[-1, 1]", stages=f"[{stages}]")
    (folder / "net.py").write_text(net)
    recipe = rewrite_recipe(folder, text)
    assert recipe.source is not None
    recipe = replace(recipe, source=replace(recipe.source, batch_statistics=said))
    data = write_pairs(folder / "data", 64)
    processes = Processes()
    task = tasks.find("paired").open_task(recipe, data, processes)
    fitting = with_fitting_statistics(recipe, task, processes, condensed=condensed)
    assert fitting.source is not None
    return fitting.source.batch_statistics


def test_training_on_one_picture_at_a_time_ends_in_its_own_statistics(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert found(tmp_path, batches=(2, 1)) is True
    assert "exported so: as instance norms" in caplog.text
    assert "batch_statistics = false" in caplog.text


@pytest.mark.parametrize(("net", "said"), [(NORMED, None), (NORMED, True), (PLAIN, None)])
def test_several_crops_per_step_leave_what_the_recipe_says(
    tmp_path: Path, net: str, said: bool | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert found(tmp_path, net=net, batches=(1, 2), said=said) is said
    assert not caplog.records


def test_a_net_without_batch_norms_has_nothing_to_choose(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert found(tmp_path, net=PLAIN) is None
    assert not caplog.records


@pytest.mark.parametrize(
    ("said", "condensed", "level"),
    [(False, False, "INFO"), (False, True, "INFO"), (None, True, "WARNING")],
)
def test_running_statistics_that_do_not_fit_are_told_of(
    tmp_path: Path,
    said: bool | None,
    condensed: bool,
    level: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who asked for them need not be warned."""
    with caplog.at_level(logging.INFO, "decig.training.originals"):
        assert found(tmp_path, said=said, condensed=condensed) is said
    assert [record.levelname for record in caplog.records] == [level]
    assert "follow the last few" in caplog.text
    assert ("(and profile anew)" in caplog.text) == condensed


def opened(folder: Path, bounds: str) -> tuple[Recipe, tasks.Original]:
    stages = "[{ crop = 32, batch = 2, steps = 2 }]"
    (folder / "net.py").write_text(PLAIN)
    text = SIDE_BY_SIDE.format(side=64, output_range=bounds, stages=stages)
    recipe = rewrite_recipe(folder, text)
    data = write_pairs(folder / "data", 64)
    return recipe, tasks.find("paired").open_task(recipe, data, Processes())


@pytest.mark.parametrize(
    ("bounds", "times", "level"), [("[0, 1]", "0.5", "INFO"), ("[0, 255]", "128", "WARNING")]
)
def test_losses_that_count_otherwise_than_their_authors_have_it_are_told_of(
    tmp_path: Path, bounds: str, times: str, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, task = opened(tmp_path, bounds)
    with caplog.at_level(logging.INFO, "decig.training.originals"):
        warn_of_range(recipe, task, Processes())
    assert [record.levelname for record in caplog.records] == [level]
    assert f"count {times} times as much" in caplog.text
    caplog.clear()
    warn_of_range(recipe, Mock(), Processes())  # of another package
    assert not caplog.records


def test_pictures_from_minus_one_to_one_are_as_the_authors_have_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, task = opened(tmp_path, "[-1, 1]")
    warn_of_range(recipe, task, Processes())
    assert not caplog.records
