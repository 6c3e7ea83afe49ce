"""train as a function refuses what does not go together before it reads data."""

import pytest

import decig
from decig import BadInputError
from tests.training import small_originals


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target_speedup": 2}, "needs the recipe's cost table"),
        ({"method": "hypernet"}, "give the recipe's cost table, or a target"),
        ({"method": "supernet"}, "'supernet' needs a trained generator"),
        ({"target_macs": 0.5, "target_speedup": 2}, "targets are of one kind"),
        ({"target_macs": 0.5, "method": "supernet"}, "'supernet' needs a trained generator"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, wrong, message):
    recipe = small_originals.write_recipe(tmp_path, "paired", small_originals.STAGES)
    with pytest.raises(BadInputError, match=message):
        decig.train(recipe.folder, tmp_path / "run", data=tmp_path / "gone", **wrong)
    assert not (tmp_path / "run").exists()
