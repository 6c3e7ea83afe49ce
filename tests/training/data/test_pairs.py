from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from decig.errors import BadInputError
from decig.training.data.pairs import Examples, read_data
from decig.training.data.stages import Common, Data, Stage
from decig.training.loop.processes import Processes
from tests.training import small_originals

SETTINGS = Common(stages=(Stage(crop=32, batch=3, epochs=2),))


def examples(folder: Path, settings: Common = SETTINGS, **recipe: object) -> Examples:
    made = small_originals.write_recipe(folder, "paired", **recipe)
    return Examples(made, settings, *read_data(made, folder / "data", settings), Processes())


def test_batches_pair_label_maps_with_their_pictures(tmp_path: Path) -> None:
    small_originals.write_data(tmp_path / "data", "label_map")
    made = examples(tmp_path, labels=small_originals.ONE_HOT, channels=4, input_range="[0, 1]")
    assert made.course.steps == 4  # two passes through five pairs, three at a time
    batch = made.batch(1)
    assert batch.source.shape == (3, 4, 32, 32) and batch.real.shape == (3, 3, 32, 32)
    assert set(batch.source.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(batch.source.sum(1), torch.ones(3, 32, 32))
    assert -1 <= batch.real.min() < -0.9 and 0.9 < batch.real.max() <= 1
    assert torch.equal(made.batch(1).real, batch.real)
    assert not torch.equal(made.batch(0).real, batch.real)


def test_the_direction_says_which_side_is_the_input(tmp_path: Path) -> None:
    small_originals.write_data(tmp_path / "data", "paired")
    batches = []
    for direction in ("AtoB", "BtoA"):
        data = Data(direction=direction)
        settings = Common(stages=SETTINGS.stages, data=data)
        batches.append(examples(tmp_path, settings).batch(0))
    assert torch.equal(batches[0].source, batches[1].real)
    assert torch.equal(batches[0].real, batches[1].source)


def test_pairs_of_the_training_are_shown_where_none_are_held_out(tmp_path: Path) -> None:
    small_originals.write_images(tmp_path / "data" / "train", 3, width=2 * small_originals.SIDE)
    made = examples(tmp_path)
    columns = made.show(made.build_generator().eval())
    assert list(columns) == ["input", "output", "real"]
    assert all(len(images) == 3 for images in columns.values())
    small_originals.write_images(tmp_path / "data" / "val", 1, width=2 * small_originals.SIDE)
    made = examples(tmp_path)
    assert len(made.show(made.build_generator().eval())["real"]) == 1


def test_label_maps_of_numbers_are_made_visible(tmp_path: Path) -> None:
    small_originals.write_data(tmp_path / "data", "label_map")
    for file in sorted((tmp_path / "data").glob("t*_label/*.png")):
        ids = np.random.default_rng(0).integers(
            0, 4, (small_originals.SIDE, small_originals.SIDE), np.uint8
        )
        Image.fromarray(ids).save(file)
    made = examples(tmp_path, labels="[pixels.labels]\nids = 4", channels=4)
    shown = made.show(made.build_generator().eval())["input"]
    assert np.max(shown) > 180


def test_pictures_smaller_than_the_crops_are_refused(tmp_path: Path) -> None:
    small_originals.write_data(tmp_path / "data", "paired")
    for stage in (Stage(crop=48, steps=1), Stage(crop=64, epochs=1)):
        with pytest.raises(BadInputError, match=r"0\.png: a 40x40 image is too small for"):
            examples(tmp_path, Common(stages=(stage,)))
    examples(tmp_path, Common(stages=(Stage(crop=48, load=50, steps=1),)))


def test_a_generator_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    small_originals.write_data(tmp_path / "data", "paired")
    nets = "from torch import nn\ndef Net(inputs):\n    return nn.Conv2d(3, 4, 1)\n"
    with pytest.raises(BadInputError, match=r"Conv2d turns .* training needs"):
        examples(tmp_path, nets=nets).build_generator()


def test_facades(shared_data: Path, tmp_path: Path) -> None:
    recipe = small_originals.write_recipe(tmp_path, "paired")
    settings = Common(data=Data(direction="BtoA"))
    training, held_out = read_data(recipe, shared_data / "facades", settings)
    assert (len(training), len(held_out)) == (400, 100)
    # Labels are saturated colours, photos are not.
    assert np.ptp(training[0].input, axis=-1).mean() > np.ptp(training[0].target, axis=-1).mean()
