import json
import logging
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from decig.data.labels import Labels
from decig.errors import BadInputError
from decig.graph.model import input_info
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve, to_resume
from decig.source.stamp import pixels_entry, stamp
from tests.samples import generator, write_generator

LABELS = Labels(palette=((0, 0, 1),), encoding="colours")
FLAGS = PixelFlags((0.0, 255.0), (0.0, 1.0), None, "bgr")
RECIPE = """
[model]
onnx = "generator.onnx"
input_shape = [1, 3, 24, 24]
[pixels]
input_range = [-1, 1]
output_range = [0, 1]
"""


def test_a_stamped_file_needs_no_flags(tmp_path):
    flags = replace(FLAGS, labels=LABELS, feeds={"code": "normal"})
    bare = resolve(str(write_generator(tmp_path / "m.onnx")), flags)
    proto = generator()
    stamp(proto, bare.entries())
    onnx.save(proto, tmp_path / "stamped.onnx")
    source = resolve(str(tmp_path / "stamped.onnx"))
    assert source.pixels == bare.pixels
    assert source.require_pixels().labels == LABELS
    borrowed = resolve(str(tmp_path / "m.onnx")).borrow(source)
    assert borrowed.pixels == bare.pixels
    assert borrowed.feeds == source.feeds == {"code": "normal"}


def test_flags_win_over_the_stamp(tmp_path):
    proto = generator()
    stamp(proto, {"pixels": pixels_entry(resolve_pixels(tmp_path))})
    onnx.save(proto, tmp_path / "stamped.onnx")
    source = resolve(str(tmp_path / "stamped.onnx"), PixelFlags(channel_order="rgb"))
    assert source.require_pixels().channel_order == "rgb"
    assert source.require_pixels().input_range == (0.0, 255.0)


def resolve_pixels(tmp_path):
    return resolve(str(write_generator(tmp_path / "plain.onnx")), FLAGS).require_pixels()


def test_a_broken_stamp_names_the_file(tmp_path):
    proto = generator()
    onnx.helper.set_model_props(proto, {"decig.pixels": '{"input_range": 3}'})
    onnx.save(proto, tmp_path / "odd.onnx")
    with pytest.raises(BadInputError, match=r"odd\.onnx: pixels\.input_range: exp"):
        resolve(str(tmp_path / "odd.onnx"))


def test_a_recipe_gives_model_and_pixels(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    write_generator(tmp_path / "generator.onnx")
    for text in (tmp_path, tmp_path / "recipe.toml"):
        source = resolve(str(text))
        assert source.require_pixels().input_range == (-1.0, 1.0)
        assert source.require_pixels().labels is None


def test_a_recipe_fixes_dynamic_axes(tmp_path):
    proto = generator()
    for axis in (0, 2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    onnx.save(proto, tmp_path / "generator.onnx")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    shape = resolve(str(tmp_path)).model.proto.graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [1, 3, 24, 24]
    with pytest.raises(BadInputError, match="--input-shape image:1,3,256,256"):
        resolve(str(tmp_path / "generator.onnx"))
    shapes = {"image": [1, 3, 48, 32]}
    shape = resolve(str(tmp_path), input_shapes=shapes).model.proto.graph.input[0]
    assert [dim.dim_value for dim in shape.type.tensor_type.shape.dim] == [1, 3, 48, 32]


def test_a_recipe_without_its_model_says_how_to_make_it(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    with pytest.raises(BadInputError, match="make it with decig train"):
        resolve(str(tmp_path))


@pytest.mark.train
def test_random_weights_serve_for_an_untrained_recipe_where_that_is_said(tmp_path, caplog):
    (tmp_path / "net.py").write_text("from torch import nn\nNet = lambda: nn.Conv2d(3, 3, 1)\n")
    code = '[source]\npython = "net.py:Net"\n'
    (tmp_path / "recipe.toml").write_text(RECIPE + code)
    with pytest.raises(BadInputError, match="make it with decig train"):
        resolve(str(tmp_path))
    found = resolve(str(tmp_path), untrained=True)
    assert found.model.proto.graph.input[0].name == "input"
    assert "recipe.toml: not trained yet; its weights are random" in caplog.text
    caplog.clear()
    write_generator(tmp_path / "generator.onnx")  # trained by now
    assert resolve(str(tmp_path), untrained=True).model.path == tmp_path / "generator.onnx"
    assert not caplog.text


def test_a_truncated_model_of_a_recipe(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    content = write_generator(tmp_path / "generator.onnx").read_bytes()
    (tmp_path / "generator.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInputError, match=r"generator\.onnx: not a readable ONNX file"):
        resolve(str(tmp_path))


def test_a_training_gives_its_generator(tmp_path):
    """A run folder of decig train; CycleGAN leaves a generator for each direction."""
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(
        BadInputError, match="has exported no generator yet; go on with it: decig tr"
    ):
        resolve(str(tmp_path))
    file = write_generator(tmp_path / "generator.onnx")
    assert resolve(str(tmp_path), FLAGS).model.path == file
    with pytest.raises(BadInputError, match="--weights goes with PyTorch code"):
        resolve(str(tmp_path), weights=tmp_path / "w.pth")
    back = write_generator(tmp_path / "generator_back.onnx")
    with pytest.raises(BadInputError, match=f"the one that is meant: {file}, {back}"):
        resolve(str(tmp_path))
    (tmp_path / "recipe.toml").write_text(RECIPE)  # the folder of a recipe stays that
    assert resolve(str(tmp_path)).require_pixels().input_range == (-1.0, 1.0)


def test_a_run_gives_its_student(tmp_path):
    record = {
        "model": {"sha256": "abc"},
        "feeds": {"code": 0.5},
        "pixels": {
            "input_range": [0, 1],
            "output_range": [0, 1],
            "layout": "nchw",
            "channel_order": "rgb",
            "labels": {"palette": [[0, 0, 1]], "encoding": "colours"},
        },
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(BadInputError, match="has not finished"):
        resolve(str(tmp_path))
    write_generator(tmp_path / "student.onnx")
    source = resolve(str(tmp_path))
    assert source.run == tmp_path
    assert source.feeds == {"code": 0.5}
    assert source.require_pixels().labels == LABELS
    assert source.require_pixels().input_range == (0, 1)
    assert source.entries()["source_sha256"] == "abc"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"pixels": [1]}, "pixels: expected `object"),
        ({"feeds": ["code"]}, "feeds: expected `object`"),
        ({"model": {"sha256": 1}}, "model.sha256: expected `str`, not 1"),
        ({"feeds": {"code": "thin air"}}, "input code cannot be fed 'thin air'"),
    ],
)
def test_a_broken_record_of_a_run_is_named(tmp_path, record, message):
    (tmp_path / "run.json").write_text(json.dumps(record))
    write_generator(tmp_path / "student.onnx")
    with pytest.raises(BadInputError, match=rf"run\.json: {message}"):
        resolve(str(tmp_path))


CODE = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, width=4):
        super().__init__(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 3, 1))
"""
SHAPES = {"input": [1, 3, 24, 24]}
CODE_RECIPE = (
    RECIPE.replace('onnx = "generator.onnx"', "")
    + """
[source]
python = "net.py:Net"
arguments = { width = 6 }
"""
)


@pytest.fixture
def net(tmp_path, monkeypatch):
    """Put net.py into the working directory."""
    (tmp_path / "net.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.train
@pytest.mark.parametrize("text", ["net.py:Net", "./net.py:Net", "net:Net"])
def test_python_classes(net, text):
    source = resolve(text, FLAGS, SHAPES)
    assert source.require_pixels().input_range == (0.0, 255.0)
    assert [tensor.dims[0] for tensor in source.model.proto.graph.initializer][:2] == [4, 4]
    with pytest.raises(BadInputError, match=r"net:?.* give the sizes .* --input-shape input:1,3"):
        resolve(text)


@pytest.mark.train
def test_a_recipe_names_code_arguments_and_weights(net, tmp_path):
    (tmp_path / "recipe.toml").write_text(CODE_RECIPE)
    untrained = resolve(str(tmp_path))
    assert untrained.require_pixels().input_range == (-1.0, 1.0)
    assert untrained.model.sha256 == resolve(str(tmp_path)).model.sha256
    onnx.save(untrained.model.proto, tmp_path / "w.onnx")
    (tmp_path / "recipe.toml").write_text(CODE_RECIPE + 'weights = "w.onnx"')
    assert resolve(str(tmp_path)).model.sha256 == untrained.model.sha256


@pytest.mark.train
def test_weights_on_the_command_line_win(net, tmp_path):
    """Over a recipe's file, even: they are for its code."""
    recipe = RECIPE + '[source]\npython = "net.py:Net"\n'
    (tmp_path / "recipe.toml").write_text(recipe)
    write_generator(tmp_path / "generator.onnx")
    onnx.save(resolve("net.py:Net", None, SHAPES).model.proto, tmp_path / "w.onnx")
    asked = resolve(str(tmp_path), weights=Path("w.onnx"))
    assert asked.model.sha256 == resolve("net.py:Net", None, SHAPES).model.sha256
    assert asked.model.sha256 != resolve(str(tmp_path)).model.sha256


NORMED = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, labels=2, width=4):
        norm = nn.BatchNorm2d(width)
        super().__init__(nn.Conv2d(labels, width, 3, padding=1), norm, nn.Conv2d(width, 3, 1))
def read_sizes(shapes):
    width, labels, _, _ = shapes["0.weight"]
    return {"labels": labels, "width": width}, {"input": [None, labels, None, None]}
"""
NORMED_RECIPE = """
[model]
input_shape = [1, 2, 8, 8]
[pixels]
input_range = [0, 1]
output_range = [0, 1]
[pixels.labels]
ids = 2
[source]
python = "net.py:Net"
sizes = "read_sizes"
"""


@pytest.fixture
def normed(tmp_path) -> Path:
    """A recipe whose net has a batch norm, and larger.onnx, weights for more labels."""
    (tmp_path / "net.py").write_text(NORMED)
    (tmp_path / "recipe.toml").write_text(NORMED_RECIPE)
    large = NORMED.replace("labels=2, width=4", "labels=5, width=6")
    (tmp_path / "large.py").write_text(large)
    model = resolve(f"{tmp_path}/large.py:Net", FLAGS, {"input": [1, 5, 8, 8]}).model
    onnx.save(model.proto, tmp_path / "larger.onnx")
    return tmp_path


def _operators(source) -> list[str]:
    return [node.op_type for node in source.model.proto.graph.node]


@pytest.mark.train
def test_a_recipe_or_the_caller_chooses_the_statistics_of_batch_norms(normed):
    assert "BatchNormalization" in _operators(resolve(str(normed)))
    assert "InstanceNormalization" in _operators(resolve(str(normed), batch_statistics=True))
    (normed / "recipe.toml").write_text(NORMED_RECIPE + "batch_statistics = true")
    assert "InstanceNormalization" in _operators(resolve(str(normed)))
    assert "BatchNormalization" in _operators(resolve(str(normed), batch_statistics=False))
    model = write_generator(normed / "m.onnx")
    for choice, flag in ((True, "--batch-statistics"), (False, "--saved-statistics")):
        with pytest.raises(BadInputError, match=f"{flag} goes with PyTorch code"):
            resolve(str(model), batch_statistics=choice)


@pytest.mark.train
def test_weights_for_more_labels_than_the_recipe_names(normed, caplog):
    caplog.set_level(logging.INFO, "decig")
    source = resolve(str(normed), weights=normed / "larger.onnx")
    assert input_info(source.model.proto)[0].shape == [1, 5, 8, 8]
    assert "its weights are for 5 labels, its recipe names 2: say which ones" in caplog.text
    with pytest.raises(BadInputError, match=r"has 5 channels; images .*give --one-hot 5"):
        source.require_image()
    told = resolve(str(normed), PixelFlags(labels=Labels(ids=5)), weights=normed / "larger.onnx")
    told.require_image()
    assert resolve(str(normed)).require_pixels().labels == Labels(ids=2)


@pytest.mark.train
def test_a_shape_that_the_user_gives_wins_over_the_weights(normed):
    with pytest.raises(BadInputError, match=r"Net cannot take an input of 1x2x8x8"):
        resolve(str(normed), None, {"input": [1, 2, 8, 8]}, normed / "larger.onnx")
    source = resolve(str(normed), None, {"input": [1, 5, 16, 8]}, normed / "larger.onnx")
    assert input_info(source.model.proto)[0].shape == [1, 5, 16, 8]


def test_half_of_a_source_asks_for_the_other_half(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("generator.onnx", "m.onnx"))
    for text, weights, message in (
        (str(model), Path("w.pth"), "--weights goes with PyTorch code"),
        (str(tmp_path), Path("w.pth"), r"--weights needs a \[source\] table"),
        ("net.py", None, r"net\.py: name its class or function as well: net\.py:Name"),
        ("w.pth", None, r"w\.pth: these are weights; name the code .* --weights w\.pth"),
    ):
        with pytest.raises(BadInputError, match=message):
            resolve(text, weights=weights)


def test_missing_and_truncated_files_are_named(tmp_path):
    with pytest.raises(BadInputError, match=r"none\.onnx"):
        resolve(str(tmp_path / "none.onnx"))
    content = write_generator(tmp_path / "m.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInputError, match=r"cut\.onnx: not a readable ONNX file"):
        resolve(str(tmp_path / "cut.onnx"))


def test_the_command_that_goes_on_can_be_typed_as_it_is(tmp_path, monkeypatch):
    several = tmp_path / "all of them"
    (several / "4x").mkdir(parents=True)
    assert to_resume(several / "4x").endswith(f"--output-dir '{several}/4x'")
    (several / "targets.json").write_text("{}")
    assert to_resume(several / "4x").endswith(f"--output-dir '{several}'")
    monkeypatch.chdir(several / "4x")
    assert to_resume(Path()).endswith("--output-dir ..")
    monkeypatch.chdir(several)
    assert to_resume(Path("4x")).endswith("--output-dir .")
