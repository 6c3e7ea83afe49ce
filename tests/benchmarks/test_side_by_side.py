"""What can be made of a teacher, and what is said of what cannot."""

from pathlib import Path

import pytest
from command_line import Given
from goals import Effort, Teacher
from judge import Entry
from peers import METHODS
from side_by_side import Comparison

from decig.errors import DecigError
from decig.files import write_json
from decig.source.flags import PixelFlags
from tests.benchmarks.small import table_of, write_recipe, write_settings
from tests.samples import write_generator, write_photos

FLAGS = PixelFlags((0, 1), (0, 1), channel_order="rgb")


def compared(folder: Path, model: Path, flags: PixelFlags) -> Comparison:
    photos = write_photos(folder / "photos", 2, 40, 40)
    file = model if model.suffix == ".onnx" else model / "generator.onnx"
    settings, table = write_settings(folder), table_of(file, folder)
    given = Given([4.0], Effort(1.0), 1, settings, table, False, 1.0, folder / "out", folder)
    return Comparison.of(Teacher(model, flags, photos), photos, METHODS, given)


def test_everything_can_be_made_of_a_recipe_with_its_class(tmp_path: Path) -> None:
    found = compared(tmp_path, write_recipe(tmp_path / "recipe"), PixelFlags())
    assert found.lacking == {}
    assert {*found.contest.methods, *found.rivals.methods, "openvino-int8"} == set(METHODS)


def test_reasons_are_found_beforehand_and_told(tmp_path: Path) -> None:
    found = compared(tmp_path, write_generator(tmp_path / "small.onnx", size=32), FLAGS)
    assert list(found.lacking) == ["uniform", "torch-pruning"]
    assert "uniform" not in found.contest.methods
    found = found.with_openvino(None, "no such package")
    failed = found.contest.out / "supernet" / "4x" / "failed.json"
    failed.parent.mkdir(parents=True)
    write_json(failed, {"error": "it failed"})
    said = found._remarks([])
    assert said["4x", "uniform"].startswith("no PyTorch code of the teacher: ")
    assert said["", "openvino-int8"] == "no such package"
    assert said["4x", "supernet"] == "it failed"
    assert said["4x", "decig"] == "not run"
    assert said["4x", "onnxsim"] == "decig has no result whose latency and time it would get"
    assert len(said) == len(METHODS)


def test_rows_that_are_slower_than_asked_for_say_so(tmp_path: Path) -> None:
    found = compared(tmp_path, write_recipe(tmp_path / "recipe"), PixelFlags())
    found.contest.out.mkdir(parents=True)
    write_json(found.contest.out / "match.json", {"4x": {"trunk": 4, "ratio": 1.2, "of": "a"}})
    write_json(found.contest.out / "cut.json", {"4x": {"sparsity": 0.95, "ratio": 2.5, "of": "a"}})
    made = [Entry("4x", method, tmp_path / "student.onnx", {}) for method in METHODS]
    said = found._remarks(made)
    for method, maker, ratio in (
        ("uniform", "uniform", "1.20"),
        ("torch-pruning", "torch-pruning", "1.20"),
        ("onnxsim", "onnxsim", "2.50"),
        ("onnxsim-tuned", "onnxsim", "2.50"),
    ):
        assert said["4x", method].endswith(f"that {maker} can make takes {ratio} times as long")
    assert not {"decig", "decig-int8"} & {method for _, method in said}


def test_openvino_adds_its_row(tmp_path: Path) -> None:
    found = compared(tmp_path, write_generator(tmp_path / "small.onnx", size=32), FLAGS)
    assert "openvino-int8" not in found.rivals.methods
    with_it = found.with_openvino(tmp_path / "python", "")
    assert with_it.rivals.methods[-1] == "openvino-int8"
    assert with_it.rivals.openvino == tmp_path / "python"


def test_held_out_images_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "small.onnx", size=32)
    photos = write_photos(tmp_path / "photos", 1)
    given = Given([4.0], Effort(1.0), 1, None, None, False, 1.0, tmp_path / "out", tmp_path)
    with pytest.raises(DecigError, match="gone"):
        Comparison.of(Teacher(model, FLAGS, photos), tmp_path / "gone", METHODS, given)
