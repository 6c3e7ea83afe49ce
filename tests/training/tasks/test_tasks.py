from pathlib import Path

import pytest
import torch

from decig.errors import BadInputError
from decig.training import tasks
from decig.training.loop import precision
from decig.training.loop.processes import Processes
from tests.training.small_originals import ONE_HOT, STAGES, write_data, write_recipe


def test_tasks_are_found_by_their_name() -> None:
    assert tasks.find("paired") is tasks.find("decig.training.tasks.paired")


def test_what_cannot_be_trained_from_a_recipe_is_refused() -> None:
    with pytest.raises(
        BadInputError,
        match="no task is called 'pared'; known: distil, label_map, paired, sandwich, unpaired",
    ):
        tasks.find("pared")
    with pytest.raises(BadInputError, match="the task 'distil' cannot be trained from a recipe"):
        tasks.find("distil")


def test_a_group_keeps_its_learning_rate_if_nothing_is_said() -> None:
    group = tasks.Group(("a", "b"), 1e-3, (0.9, 0.99))
    assert [group.schedule(progress) for progress in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["paired", "unpaired", "label_map"])
@pytest.mark.parametrize("native", [True, False])
def test_every_original_computes_in_bfloat16_where_that_is_native(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, native: bool
) -> None:
    monkeypatch.setattr(precision, "has_native_bf16", lambda _: native)
    labels = {"labels": ONE_HOT, "channels": 4, "input_range": "[0, 1]"}
    more = labels if name == "label_map" else {}
    recipe = write_recipe(tmp_path, name, f'precision = "auto"\n{STAGES}', **more)
    data = write_data(tmp_path / "data", name)
    task = tasks.find(name).open_task(recipe, data, Processes())
    painted = task.forward(task.batch(0))
    first = painted if isinstance(painted, torch.Tensor) else painted.b
    assert first.dtype == (torch.bfloat16 if native else torch.float32)
