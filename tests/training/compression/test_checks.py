"""What a compression refuses before anything expensive begins, and models that enlarge."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from decig.errors import BadInputError
from decig.graph.model import normalise
from decig.training.compression.checks import look_over
from decig.training.data.examples import Examples
from tests.training.conftest import Make
from tests.training.small import Asked, small
from tests.training.tiny import tiny_generator

REAL = {"adversarial": 0.05, "condense": 0.0}


def enlarging(height: float = 2.0, width: float = 2.0, size: int = 48) -> onnx.ModelProto:
    """A generator whose pictures are larger than its inputs."""
    proto = tiny_generator(size=size, width=16)
    nodes, graph = list(proto.graph.node), proto.graph
    place = next(index for index, node in enumerate(nodes) if node.output[0] == "sum")
    graph.initializer.append(
        numpy_helper.from_array(np.array([1, 1, height, width], np.float32), "scales")
    )
    resize = helper.make_node("Resize", ["sum", "", "scales"], ["large"], "large", mode="nearest")
    nodes[place + 1].input[0] = "large"
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*nodes[: place + 1], resize, *nodes[place + 1 :]])
    dims = graph.output[0].type.tensor_type.shape.dim
    dims[2].dim_value, dims[3].dim_value = round(height * size), round(width * size)
    return normalise(proto)


def grey(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same generator of luma instead of colours."""
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if tensor.name == "c1.weight":
            array = array.sum(1, keepdims=True)
        if tensor.name in ("c4.weight", "c4.bias"):
            array = array[:1]
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[1].dim_value = 1
    del proto.graph.value_info[:]
    return normalise(proto)


def real_pictures(folder: Path, inputs: Path, scale: float) -> Path:
    """Write a picture for every input, `scale` times as large."""
    folder.mkdir()
    for file in inputs.iterdir():
        with Image.open(file) as image:
            size = round(scale * image.width), round(scale * image.height)
            image.convert("RGB").resize(size).save(folder / f"{file.stem}.png")
    return folder


def looked_over(asked: Asked) -> Examples:
    return look_over(asked.teacher, asked.folders, asked.config, whole=False)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("targets", REAL), ("targets", {"condense": 0.0, "adversarial": 0.0}), ("unpaired", REAL)],
)
def test_a_model_that_enlarges_learns_from_larger_real_pictures(
    tmp_path: Path, kind: str, settings: dict[str, float]
) -> None:
    made = small(tmp_path, enlarging(), settings=settings)
    real = real_pictures(tmp_path / "real", tmp_path / "photos", 2)
    figures = made.but(**{kind: real}).compress()
    assert figures["steps"] == 4
    assert looked_over(made.but(**{kind: real})).pictures() == (64, 64)


def test_pictures_that_are_larger_than_their_inputs_are_judged_alone(tmp_path: Path) -> None:
    made = small(tmp_path, enlarging(), settings={"imitation": 0.05, "condense": 0.0})
    assert made.compress()["steps"] == 4
    assert looked_over(made).condition_channels == 0


@pytest.mark.parametrize("kind", ["targets", "unpaired", "imitation"])
def test_a_model_of_luma_is_judged_and_taught_by_luma(tmp_path: Path, kind: str) -> None:
    made = small(tmp_path, grey(enlarging()), settings={**REAL, "imitation": 0.05})
    if kind != "imitation":
        made = made.but(**{kind: real_pictures(tmp_path / "real", tmp_path / "photos", 2)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyTorch warns where a loss spreads one channel over three
        assert made.compress()["steps"] == 4


def test_targets_of_the_size_of_the_inputs_are_refused_where_a_model_enlarges(
    tmp_path: Path,
) -> None:
    made = small(tmp_path, enlarging(), settings=REAL)
    real = real_pictures(tmp_path / "real", tmp_path / "photos", 1)
    told: list[str] = []
    with pytest.raises(BadInputError, match="its target 64x60; make the target 128x120, as the mo"):
        made.but(targets=real).compress(lambda step, *_: told.append(step))
    assert told == []


@pytest.mark.parametrize("scales", [(1.5, 1.5), (1.0, 2.0)])
def test_targets_need_a_model_that_enlarges_by_a_whole_number(
    tmp_path: Path, scales: tuple[float, float]
) -> None:
    made = small(tmp_path, enlarging(*scales), settings=REAL)
    assert looked_over(made).scale is None
    with pytest.raises(BadInputError, match="--targets needs a model whose pictures are a whole"):
        looked_over(made.but(targets=tmp_path / "photos"))
    other = made.but(unpaired=tmp_path / "photos")  # judged alone, at any size
    assert looked_over(other).pictures() == (round(32 * scales[0]), round(32 * scales[1]))
    assert other.compress()["steps"] == 4


def test_crops_of_which_pictures_of_another_size_come_are_refused(tmp_path: Path) -> None:
    """A picture at half the size is enlarged again: of an odd number of rows, one is lost."""
    proto = tiny_generator(size=48, width=16)
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    proto.graph.initializer.append(scales)
    proto.graph.node[-1].output[0] = "drawn"
    half = helper.make_node("AveragePool", ["drawn"], ["half"], "half", kernel_shape=[2, 2])
    half.attribute.append(helper.make_attribute("strides", [2, 2]))
    resize = helper.make_node("Resize", ["half", "", "scales"], ["output"], "twice")
    proto.graph.node.extend([half, resize])
    made = small(tmp_path, normalise(proto), settings={"condense": 0.0, "crop": 33})
    with pytest.raises(BadInputError, match="of crops of 33x33 pixels it makes pictures of 32x32"):
        looked_over(made.but(targets=real_pictures(tmp_path / "real", tmp_path / "photos", 1)))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("unpaired", {"adversarial": 0.0}, "nothing would learn from these pictures"),
        ("targets", {"adversarial": 0.0, "target": 0.0}, "nothing would learn from these targets"),
    ],
)
def test_real_pictures_from_which_nothing_learns_are_refused(
    asked: Make, photos: Path, kind: str, settings: dict[str, float], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        looked_over(asked(**{kind: photos}, settings=settings))
    looked_over(asked(**{kind: photos}, settings={**settings, "discriminator_features": 0.1}))
