"""Models are read as the commands read them."""

import numpy as np
import onnx
import pytest

import decig
from decig import BadInputError
from tests.samples import generator, write_dynamic_generator, write_generator


def test_bad_input_is_one_line(tmp_path):
    with pytest.raises(BadInputError) as error:
        decig.load(tmp_path / "none.onnx")
    assert "\n" not in str(error.value)
    with pytest.raises(BadInputError, match="one_hot and palette exclude each other"):
        decig.load(tmp_path / "none.onnx", one_hot="3", palette="000000,ffffff")


def test_labels_and_feeds_are_said_as_on_the_command_line(tmp_path):
    onnx.save(generator(channels=12), tmp_path / "m.onnx")
    known = decig.load(tmp_path / "m.onnx", one_hot="12", channel_order="rgb").known
    assert known["labels"].ids == 12
    with pytest.raises(BadInputError, match="input code cannot be fed 'often'"):
        decig.load(tmp_path / "m.onnx", feeds={"code": "often"})


def test_a_fixed_size_closes_dynamic_axes(tmp_path):
    model, shapes = write_dynamic_generator(tmp_path / "m.onnx"), {"": np.array([1, 3, 24, 24])}
    assert decig.load(model, input_shapes=shapes).model.axes is not None
    assert decig.load(model, input_shapes=shapes, fixed_size=True).model.axes is None


def test_what_was_loaded_is_taken_as_it_is(tmp_path):
    from decig.api.models import as_source

    source = decig.load(write_generator(tmp_path / "m.onnx"))
    assert as_source(source) is source
    assert as_source(tmp_path / "m.onnx").model.sha256 == source.model.sha256
