import pytest

from decig.errors import BadInputError
from decig.train import tasks


def test_tasks_are_found_by_their_name() -> None:
    assert tasks.find("paired") is tasks.find("decig.train.tasks.paired")


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
