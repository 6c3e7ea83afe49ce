import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from decig.data.labels import Labels
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.training.compression.teacher import Teacher
from tests.training.small import small


@pytest.fixture
def teacher(tmp_path: Path) -> Teacher:
    return small(tmp_path).teacher


def test_it_runs_as_a_module_at_any_size(teacher: Teacher) -> None:
    x = np.random.default_rng(0).random((1, 3, 48, 48), np.float32)
    shown = copy.deepcopy(teacher.model.proto)
    shown.graph.output.insert(0, next(v for v in shown.graph.value_info if v.name == "c2"))
    wanted = Device.of().run_over(shown, [{"input": x}], ["c2", teacher.picture])
    module = teacher.module((48, 48), ["c2", teacher.picture])
    assert not module.training
    with torch.no_grad():
        found = module(torch.from_numpy(x))
        (small_picture,) = teacher.module((32, 40))(torch.zeros(1, 3, 32, 40))
        (declared,) = teacher.module(None)(torch.from_numpy(x))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)
    assert small_picture.shape == (1, 3, 32, 40)
    assert torch.equal(declared, found[1])


def test_a_value_that_it_lacks_is_named(teacher: Teacher) -> None:
    with pytest.raises(BadInputError, match="value c9: the graph computes no such value"):
        teacher.module(None, ["c9"])


def test_its_groups_and_picture_are_those_of_the_graph(teacher: Teacher) -> None:
    prunable = {group.name: group.channels for group in teacher.channels.prunable}
    assert prunable == {"c1": 16, "c2": 16}
    assert teacher.picture == "output"


def test_the_record_reads_back_as_it_was_written(teacher: Teacher) -> None:
    labels = Labels(((0, 0, 0), (255, 0, 0)), encoding="colours")
    pixels = dataclasses.replace(teacher.pixels, labels=labels)
    record = Teacher(teacher.model, pixels, {"code": "normal"}).record()
    assert json.loads(json.dumps(record)) == record
    assert record["model"]["sha256"] == teacher.model.sha256
    assert record["feeds"] == {"code": "normal"}
    assert isinstance(teacher.pixels, PixelFormat)
