from dataclasses import replace

import pytest

from decig.errors import BadInputError
from decig.training.originals.asked import asked_of, require_same, write_asked
from tests.training import small_originals


def test_the_same_recipe_and_options_go_on(tmp_path):
    recipe = small_originals.write_recipe(tmp_path, "paired")
    asked = asked_of(recipe, {"condense": {"target_ms": 3.5}})
    write_asked(tmp_path, asked)
    require_same(tmp_path, asked_of(replace(recipe), {"condense": {"target_ms": 3.5}}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, r"begun with condense\.target_ms = 3\.5, not None"),
        ({"condense": {"target_ms": 4.0}}, r"condense\.target_ms = 3\.5, not 4\.0; go on with"),
    ],
)
def test_other_options_are_named_by_their_key(tmp_path, more, message):
    recipe = small_originals.write_recipe(tmp_path, "paired")
    write_asked(tmp_path, asked_of(recipe, {"condense": {"target_ms": 3.5}}))
    with pytest.raises(BadInputError, match=message):
        require_same(tmp_path, asked_of(recipe, more))


def test_a_missing_record_is_named(tmp_path):
    recipe = small_originals.write_recipe(tmp_path, "paired")
    with pytest.raises(BadInputError, match=r"training\.json: cannot read this record of a run"):
        require_same(tmp_path, asked_of(recipe, {}))


def test_a_run_that_began_before_steps_were_recorded_goes_on(tmp_path):
    recipe = small_originals.write_recipe(tmp_path, "paired")
    write_asked(tmp_path, asked_of(recipe, {}))
    require_same(tmp_path, asked_of(recipe, {"steps": 6}))
    write_asked(tmp_path, asked_of(recipe, {"steps": 6}))
    with pytest.raises(BadInputError, match="begun with steps = 6, not 7"):
        require_same(tmp_path, asked_of(recipe, {"steps": 7}))
