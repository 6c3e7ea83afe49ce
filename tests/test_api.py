"""The functions of the package: their names and signatures, and that they do what commands do."""

import inspect
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

import decig
from decig import BadInputError
from tests.samples import PIXELS, call, write_generator, write_photos

PIXELS_OF_SAMPLES = {
    "input_range": (0.0, 1.0),
    "output_range": (0.0, 1.0),
    "channel_order": "rgb",
}

SIGNATURES = {
    "load": "model input_range output_range layout channel_order one_hot palette image picture "
    "feeds input_shapes weights batch_statistics fixed_size",
    "profile": "model device effort progress",
    "slice": "model output keep plan target_latency_ms align table force repair draws verify "
    "progress",
    "check": "candidate reference data targets device max_latency_ms min_speedup min_ssim "
    "min_psnr_db max_kid max_fid max_lpips min_iou max_unreadable inception lpips segmenter grid "
    "roofline strict confidence timing_s",
    "export": "model output device precision calibration min_ssim min_psnr_db pixel_io opset",
}
"""Parameters of each function, in order: programs are written against them."""


@pytest.fixture
def model(tmp_path):
    return write_generator(tmp_path / "m.onnx")


def test_the_public_names_are_these():
    functions = {name for name in decig.__all__ if inspect.isfunction(getattr(decig, name))}
    assert functions == SIGNATURES.keys()
    assert set(decig.__all__) - functions == {
        "BadInputError",
        "DecigError",
        "Device",
        "TargetMissedError",
    }


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_pinned(name):
    function = getattr(decig, name)
    parameters = inspect.signature(function).parameters
    assert list(parameters) == SIGNATURES[name].split()
    positional = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert all(p.default is p.empty for p in positional)  # what may be left out is named
    assert "Raises:" in function.__doc__


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, decig; print(sorted({'numpy', 'onnx', 'torch'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'decig' has no attribute 'nothing'"):
        _ = decig.nothing


def test_a_slice_is_that_of_the_command(model, tmp_path):
    photos = write_photos(tmp_path / "photos")
    source = decig.load(model, **PIXELS_OF_SAMPLES)
    cut = decig.slice(source, tmp_path / "a.onnx", keep=0.5, align=1, repair=photos, verify=True)
    asked = ("--keep", 0.5, "--align", 1, "--repair", photos, "--verify", *PIXELS)
    found = call("slice", model, "-o", tmp_path / "b.onnx", *asked)
    assert json.loads(json.dumps(cut.to_dict())) == found
    ours, theirs = (onnx.load(tmp_path / name).graph for name in ("a.onnx", "b.onnx"))
    for one, other in zip(ours.initializer, theirs.initializer, strict=True):
        assert np.array_equal(onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other))


def test_a_table_leads_a_slice_and_progress_is_told(model, tmp_path):
    told = []
    table = decig.profile(model, effort="quick", progress=lambda *news: told.append(news))
    shares = [share for step, share, _ in told if step == "profile"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    table.save(tmp_path / "t.json")
    first = decig.slice(model, tmp_path / "a.onnx", keep=0.5, table=table)
    second = decig.slice(model, tmp_path / "b.onnx", keep=0.5, table=tmp_path / "t.json")
    assert first.predicted_ms == pytest.approx(second.predicted_ms, rel=0.05)  # files are rounded


def test_an_export_verifies_and_stamps(model, tmp_path):
    exported = decig.export(model, tmp_path / "out.onnx")
    assert exported.difference < 1e-4
    assert (tmp_path / "out.onnx").is_file()


def test_a_check_is_that_of_the_command(model, tmp_path):
    photos = write_photos(tmp_path / "photos")
    decig.slice(model, tmp_path / "half.onnx", keep=0.5, align=1)
    source = decig.load(model, **PIXELS_OF_SAMPLES)
    verdict = decig.check(tmp_path / "half.onnx", source, data=photos, min_ssim=0.99999)
    assert verdict.passed is False
    asked = ("--reference", model, "--data", photos, *PIXELS)
    found = call("check", tmp_path / "half.onnx", *asked)
    assert verdict.to_dict()["ssim"] == found["ssim"]
    assert verdict.to_dict()["macs"] == found["macs"]


def test_names_of_inputs_may_differ_where_both_models_are_paths(tmp_path):
    photos = write_photos(tmp_path / "photos")
    one = write_generator(tmp_path / "a.onnx")
    decig.export(decig.load(one, **PIXELS_OF_SAMPLES), tmp_path / "b.onnx")
    assert decig.check(tmp_path / "b.onnx", one, data=photos).likeness.pairs.ssim > 0.9999


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "give one of keep, plan and target_latency_ms"),
        ({"keep": 0.5, "target_latency_ms": 3}, "give one of keep, plan and target_latency_ms"),
        ({"target_latency_ms": 3}, "a latency is only known with"),
        ({"target_latency_ms": 3, "align": 4}, "align goes with keep"),
    ],
)
def test_what_does_not_go_together_is_refused(model, tmp_path, asked, message):
    with pytest.raises(BadInputError, match=message):
        decig.slice(model, tmp_path / "x.onnx", **asked)
    assert not (tmp_path / "x.onnx").exists()


def test_bad_input_is_one_line(tmp_path):
    with pytest.raises(BadInputError) as error:
        decig.load(tmp_path / "none.onnx")
    assert "\n" not in str(error.value)
    with pytest.raises(BadInputError, match="one_hot and palette exclude each other"):
        decig.load(tmp_path / "none.onnx", one_hot="3", palette="000000,ffffff")
