import json

import numpy as np
import onnx
import pytest

from decig.deploy import export as module
from decig.deploy.export import Wanted, export
from decig.device.measure.rewriting import choose_rewrites
from decig.device.run.device import Device
from decig.errors import BadInputError, DecigError
from decig.graph.model import initializers, load_model, replace_initializers
from decig.source.resolve import resolve
from decig.source.stamp import read_stamp
from tests.samples import generator, write_photos

PIXELS = {
    "input_range": [0, 1],
    "output_range": [0, 1],
    "layout": "nchw",
    "channel_order": "rgb",
}


@pytest.fixture
def run(tmp_path):
    """A run folder as compress leaves it."""
    folder = tmp_path / "run"
    folder.mkdir()
    onnx.save(generator(width=6), folder / "student.onnx")
    plan = {"schema_version": 1, "model_sha256": "0", "keep": {"conv1": [0, 2, 3]}}
    record = {
        "model": {"path": "teacher.onnx", "sha256": "0"},
        "pixels": PIXELS,
        "images": str(write_photos(tmp_path / "photos")),
    }
    for name, content in (
        ("run.json", record),
        ("plan.json", plan),
        ("report.json", {"predicted_latency_ms": 1.5, "rewrites": ["wide_head"]}),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.train
def test_a_run_is_compared_with_its_trained_module(run, tmp_path):
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert exported.torch_difference is not None
    assert exported.torch_difference <= 1e-4
    assert exported.predicted_ms == 1.5
    stamped = read_stamp(onnx.load(tmp_path / "out.onnx"))
    assert stamped["source_sha256"] == "0"
    assert stamped["plan"]["keep"] == {"conv1": [0, 2, 3]}
    assert stamped["pixels"] == PIXELS
    assert stamped["figures"]["torch_max_abs_diff"] == exported.torch_difference


def test_the_rewrites_that_a_run_was_planned_with_are_tried_as_a_set(run, tmp_path, monkeypatch):
    asked = []

    def choose(*args, **options):
        asked.append(options["known"])
        return choose_rewrites(*args, **options)

    monkeypatch.setattr(module, "choose_rewrites", choose)
    export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert asked == [["wide_head"]]


@pytest.mark.parametrize("rewrites", [None, 3, "wide_head", [4]])
def test_a_damaged_report_is_named(run, tmp_path, rewrites):
    (run / "report.json").write_text(json.dumps({"rewrites": rewrites}))
    with pytest.raises(BadInputError, match=r"report\.json: rewrites(\[0\])?: expected `"):
        export(resolve(str(run)), tmp_path / "out.onnx", Device.of())


def test_without_torch_the_run_is_exported_with_a_warning(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert exported.torch_difference is None
    assert "torch is not installed" in caplog.text


def test_images_that_moved_away_are_replaced_by_noise_and_a_word(run, tmp_path, caplog):
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    assert export(resolve(str(run)), tmp_path / "out.onnx", Device.of()).difference <= 1e-4
    warning = f"{tmp_path / 'photos'}: the images of the run are not there"
    assert [warning in record.message for record in caplog.records].count(True) == 1


def test_a_file_that_computes_something_else_is_not_written(run, tmp_path, monkeypatch):
    def spoil(proto, _):
        wrong = np.float32(1.1) * initializers(proto)["head.weight"]
        replace_initializers(proto, {"head.weight": wrong})
        return proto

    monkeypatch.setattr(module, "at_opset", spoil)
    with pytest.raises(
        DecigError, match=r"student\.onnx: the graph after and before export: outputs"
    ):
        export(resolve(str(run)), tmp_path / "out.onnx", Device.of(), Wanted(opset=20))
    assert not (tmp_path / "out.onnx").exists()


def test_the_file_computes_what_the_source_does(run, tmp_path):
    export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert load_model(tmp_path / "out.onnx").proto.graph.output[0].name == "picture"
