from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decig.errors import BadInputError
from decig.training.data.stages import Common, Course, Data, Stage, data_folder, require_trainable
from tests.training import small_originals

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def course(*stages: dict[str, Any], seed: int = 3, examples: int = 7, **where: int) -> Course:
    processes = small_originals.with_rank(where.get("rank", 0), where.get("count", 1))
    return Course([Stage(**{"crop": 32} | stage) for stage in stages], seed, examples, processes)


def examples_of(made: Course, steps: range) -> list[int]:
    return [example for step in steps for example in made.draw(step).examples]


def test_epochs_take_every_example_once_in_an_order_of_their_own() -> None:
    made = course({"epochs": 3})
    assert made.steps == 21
    passes = [examples_of(made, range(first, first + 7)) for first in (0, 7, 14)]
    assert all(sorted(each) == list(range(7)) for each in passes)
    assert len({tuple(each) for each in passes}) == 3
    assert examples_of(course({"epochs": 3}, seed=4), range(7)) != passes[0]


def test_the_last_step_of_epochs_begins_another_pass_if_it_must() -> None:
    made = course({"epochs": 2, "batch": 4})
    assert made.steps == 4  # 14 examples in batches of 4
    found = examples_of(made, range(4))
    assert sorted(found[:14]) == sorted([*range(7)] * 2)


def test_processes_share_the_examples_of_an_epoch() -> None:
    ranks = [course({"epochs": 4}, rank=rank, count=2) for rank in (0, 1)]
    assert [each.steps for each in ranks] == [14, 14]
    pairs = [(a, b) for k in range(14) for a, b in [[r.draw(k).examples[0] for r in ranks]]]
    found = [example for pair in pairs for example in pair]
    for first in range(0, 28, 7):
        assert sorted(found[first : first + 7]) == list(range(7))


def test_the_order_of_an_epoch_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []
    shuffled = Course._shuffled

    def counted(self: Course, stage: int, epoch: int) -> np.ndarray:
        drawn.append((stage, epoch))
        return shuffled(self, stage, epoch)

    monkeypatch.setattr(Course, "_shuffled", counted)
    found = examples_of(course({"epochs": 3, "batch": 3}), range(7))
    assert drawn == [(0, 0), (0, 1), (0, 2)]
    seed = np.random.SeedSequence([3, 0, 1], spawn_key=(1,))
    assert found[7:14] == np.random.default_rng(seed).permutation(7).tolist()


def test_steps_take_any_example_whichever_were_taken() -> None:
    made = course({"steps": 200, "batch": 2})
    found = examples_of(made, range(200))
    assert made.steps == 200 and set(found) == set(range(7))
    assert any(sorted(found[k : k + 7]) != list(range(7)) for k in range(0, 400, 7))
    assert found != examples_of(course({"steps": 200, "batch": 2}, rank=1, count=2), range(200))


def test_a_draw_is_a_function_of_seed_step_and_rank() -> None:
    for stage in ({"steps": 40}, {"epochs": 4}):
        made, again = course(stage), course(stage)
        late = again.draw(20)  # without the draws before it
        for step in range(20):
            made.draw(step)
        early = made.draw(20)
        assert early.examples == late.examples and early.rng.random() == late.rng.random()
        other = course(stage, rank=1).draw(20)
        assert other.rng.random() != late.rng.random()


def test_stages_follow_each_other() -> None:
    made = course({"steps": 3, "crop": 40}, {"epochs": 1}, {"steps": 2, "crop": 48})
    assert made.steps == 3 + 7 + 2
    crops = [made.draw(step).stage.crop for step in range(12)]
    assert crops == [40] * 3 + [32] * 7 + [48] * 2
    assert sorted(examples_of(made, range(3, 10))) == list(range(7))
    assert made.sizes == [(40, 40), (32, 32), (48, 48)]


def test_crops_are_cut_as_the_stage_says() -> None:
    settings = Common(zoom=1.3)
    for stage in ({"steps": 9}, {"steps": 9, "load": 36}):
        one, other = course(stage).draw(4), course(stage).draw(4)
        crop, negative = one.cut([IMAGE, 255 - IMAGE], settings, ["nearest", "nearest"])
        assert crop.shape == (32, 32, 3) and np.array_equal(255 - crop, negative)
        again = other.cut([IMAGE, IMAGE], settings, ["nearest", "nearest"])[0]
        assert np.array_equal(crop, again)
    small = course({"steps": 1, "crop": 64}).draw(0)
    with pytest.raises(BadInputError, match="64x48 image is too small for 64x64"):
        small.cut([IMAGE], settings, ["smooth"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give one of steps and epochs"),
        ({"steps": 1, "epochs": 1}, "give one of steps and epochs"),
        ({"steps": 1, "load": 31}, "load is 31, less than crop, which is 32"),
    ],
)
def test_stages_that_cannot_be_meant(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        Stage(**{"crop": 32} | fields)


def test_without_stages_training_is_as_long_as_the_authors(tmp_path: Path) -> None:
    recipe = small_originals.write_recipe(tmp_path, "paired")
    (stage,) = Common().stages_for(recipe)
    assert stage == Stage(crop=32, load=36, batch=1, epochs=200)
    text = (tmp_path / "recipe.toml").read_text()
    (tmp_path / "recipe.toml").write_text(text.replace("32, 32]", "256, 512]"))
    (stage,) = Common().stages_for(small_originals.load_recipe(tmp_path))
    assert (stage.crop, stage.load) == (256, 286)


def test_data_are_where_the_caller_or_the_recipe_says(tmp_path: Path) -> None:
    recipe = small_originals.write_recipe(tmp_path, "paired")
    assert data_folder(recipe, Path("given"), Data(folder="named")) == Path("given")
    assert data_folder(recipe, None, Data(folder="named")) == tmp_path / "named"
    with pytest.raises(BadInputError, match=r"give --data or folder in \[train\.data\]"):
        data_folder(recipe, None, Data())
    assert [Data(layout=name).joined for name in ("auto", "side-by-side", "folders")] == [
        None,
        True,
        False,
    ]


def test_what_has_no_code_or_other_axes_cannot_be_trained(tmp_path: Path) -> None:
    recipe = small_originals.write_recipe(tmp_path, "paired")
    assert require_trainable(recipe).python == "net.py:Net"
    file = tmp_path / "recipe.toml"
    text = file.read_text()
    file.write_text(text.replace("[pixels]", '[pixels]\nlayout = "nhwc"'))
    with pytest.raises(BadInputError, match=r"training needs pixels\.layout nchw"):
        require_trainable(small_originals.load_recipe(tmp_path))
    code = text[text.index("[source]") : text.index("[train]")]
    file.write_text(text.replace(code, "").replace("[model]", '[model]\nonnx = "g.onnx"'))
    with pytest.raises(BadInputError, match=r"has no \[source\] table to train from"):
        require_trainable(small_originals.load_recipe(tmp_path))
