import json
from dataclasses import dataclass

import numpy as np
import onnx
import pytest

from decig.deploy import export as module
from decig.deploy import precision
from decig.deploy.export import export
from decig.deploy.export_job import ExportSettings
from decig.deploy.precision import Tolerance
from decig.device.measure import rewriting
from decig.device.measure.rewriting import choose_rewrites
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.errors import BadInputError, DecigError
from decig.graph.model import initializers, load_model, replace_initializers
from decig.source.resolve import resolve
from decig.source.stamp import read_stamp
from tests.deploy.runs import PIXELS, plan_for, write_run
from tests.samples import write_dynamic_generator

PHONE = {"cpu": "Some Phone"}


@pytest.fixture
def run(tmp_path):
    """A run folder as compress leaves it."""
    return write_run(tmp_path / "run", tmp_path / "photos")


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


@pytest.fixture
def nothing_is_timed(monkeypatch):
    """Fail where anything is timed."""

    def refuse(*_, **__):
        raise AssertionError("something was timed")

    for place in (rewriting, module, precision):
        for name in ("measure_interleaved", "time_graphs", "timed_run"):
            monkeypatch.setattr(place, name, refuse, raising=False)


@pytest.mark.parametrize("pixel_io", [False, True])
def test_for_a_device_elsewhere_the_rewrites_of_its_table_are_taken(
    run, tmp_path, caplog, nothing_is_timed, pixel_io
):
    device = plan_for(run, **PHONE)
    wanted = ExportSettings(pixel_io=pixel_io)
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of(), wanted)
    assert exported.choice.kept == ["wide_head"]
    assert exported.choice.canonical["fold_batchnorm"] == 1
    found = exported.to_dict()
    (warning,) = found["warnings"]
    assert "planned for another device: cpu is 'Some Phone' there and" in warning
    assert "its latency was not measured" in warning
    assert warning in caplog.text
    assert "latency_ms" not in found and "bytes_to_bytes_ms" not in found
    assert found["predicted_latency_ms"] == 1.5
    stamped = read_stamp(onnx.load(tmp_path / "out.onnx"))
    assert stamped["figures"] == found
    assert stamped["device"] == device


def test_fewer_bits_for_a_device_elsewhere_are_judged_but_not_timed(
    run, tmp_path, nothing_is_timed
):
    plan_for(run, provider="TensorrtExecutionProvider")
    any_picture = Tolerance(-1.0, 0.1)
    wanted = ExportSettings(precision="int8", tolerance=any_picture)
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of(), wanted)
    assert exported.precision.used == "int8"
    assert exported.precision.to_dict()["variants"]["int8"]["dropped"] is None
    kinds = {
        tensor.data_type
        for tensor in exported.precision.proto.graph.initializer
        if "zero_point" in tensor.name
    }
    assert kinds
    assert onnx.TensorProto.UINT8 not in kinds  # TensorRT takes eight bits around zero alone
    strict = ExportSettings(precision="int8", tolerance=Tolerance(1.0, 99.0))
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of(), strict)
    assert exported.precision.used == "fp32"


def test_the_fastest_precision_of_a_device_elsewhere_is_not_known(run, tmp_path):
    plan_for(run, **PHONE)
    with pytest.raises(BadInputError, match="--precision auto measures on it: give fp32, fp16 or"):
        export(
            resolve(str(run)), tmp_path / "out.onnx", Device.of(), ExportSettings(precision="auto")
        )


def test_at_any_size_no_rewrite_for_one_size_is_taken_from_the_table(
    run, tmp_path, nothing_is_timed
):
    plan_for(run, **PHONE)
    write_dynamic_generator(run / "student.onnx")
    shapes = {"image": [1, 3, 24, 24]}
    source = resolve(str(run), input_shapes=shapes)
    exported = export(source, tmp_path / "out.onnx", Device.of())
    assert exported.choice.kept == []


def test_a_run_of_this_device_is_measured(run, tmp_path):
    plan_for(run)
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert exported.latency.keys() == {"plain", "exported"}
    assert exported.warnings == ()


@pytest.mark.parametrize(
    "wanted",
    [
        ExportSettings(),
        ExportSettings(opset=21),
        ExportSettings(precision="int8", tolerance=Tolerance(-1.0, 0.1)),
    ],
)
def test_what_is_timed_is_what_is_written(run, tmp_path, monkeypatch, wanted):
    """The figure in the stamp is of the file: its operator set, its bits and its axes."""
    timed = {}
    write_dynamic_generator(run / "student.onnx")

    def measure(runs, *_):
        timed.update(runs)
        return {name: Latency(1.0, 0.0, 1.0, 4) for name in runs}

    monkeypatch.setattr(module, "measure_interleaved", measure)
    monkeypatch.setattr(module, "timed_run", lambda proto, *_: Timed(proto))
    monkeypatch.setattr(
        precision,
        "time_graphs",
        lambda graphs, _: {n: Latency(9.0 - len(n), 0, 9, 4) for n in graphs} | INT8_IS_FAST,
    )
    source = resolve(str(run), input_shapes={"image": [1, 3, 24, 24]})
    out = tmp_path / "out.onnx"
    export(source, out, Device.of(), wanted)
    ours, theirs = onnx.load(out), timed["exported"].proto
    assert ours.graph == theirs.graph
    assert ours.opset_import == theirs.opset_import
    shape = timed["plain"].proto.graph.input[0].type.tensor_type.shape
    assert shape == source.model.reopen(source.model.proto).graph.input[0].type.tensor_type.shape


@pytest.mark.parametrize(("asked_ms", "warned"), [(8.0, True), (9.15, False), (None, False)])
def test_a_file_that_is_slower_than_asked_is_said_to_be(
    run, tmp_path, monkeypatch, caplog, asked_ms, warned
):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"target_ms": asked_ms}))
    took = Latency(9200.0, 0.0, 9200.0, 4)
    monkeypatch.setattr(module, "measure_interleaved", lambda runs, *_: dict.fromkeys(runs, took))
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert [f"takes 9.2 ms, and {asked_ms:.4g} ms" in each for each in exported.warnings] == (
        [True] if warned else []
    )
    assert ("were asked for" in caplog.text) is warned


INT8_IS_FAST = {"int8": Latency(1.0, 0.0, 1.0, 4)}


@dataclass
class Timed:
    """A run that is not made, of a graph that is kept."""

    proto: onnx.ModelProto

    def __call__(self):
        pass


def test_a_model_that_runs_only_when_rewritten_is_exported(run, tmp_path, monkeypatch, caplog):
    def or_refuse(proto, *rest):
        if "BatchNormalization" in {node.op_type for node in proto.graph.node}:
            raise DecigError("OtherExecutionProvider cannot run BatchNormalization n")
        return rewriting.timed_run(proto, *rest)

    monkeypatch.setattr(module, "timed_run", or_refuse)
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert exported.to_dict()["latency_ms"].keys() == {"exported"}
    assert "not timed without rewrites: OtherExecutionProvider" in caplog.text


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
    exported = export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert exported.difference <= 1e-4
    warning = f"{tmp_path / 'photos'}: the images of the run are not there"
    assert [warning in record.message for record in caplog.records].count(True) == 1
    (told,) = read_stamp(onnx.load(tmp_path / "out.onnx"))["figures"]["warnings"]
    assert told.startswith(warning)


def test_a_file_that_computes_something_else_is_not_written(run, tmp_path, monkeypatch):
    def spoil(proto, _):
        wrong = np.float32(1.1) * initializers(proto)["head.weight"]
        replace_initializers(proto, {"head.weight": wrong})
        return proto

    monkeypatch.setattr("decig.deploy.export_job.at_opset", spoil)
    with pytest.raises(
        DecigError, match=r"student\.onnx: the graph after and before export: outputs"
    ):
        export(resolve(str(run)), tmp_path / "out.onnx", Device.of(), ExportSettings(opset=20))
    assert not (tmp_path / "out.onnx").exists()


def test_the_file_computes_what_the_source_does(run, tmp_path):
    export(resolve(str(run)), tmp_path / "out.onnx", Device.of())
    assert load_model(tmp_path / "out.onnx").proto.graph.output[0].name == "picture"
