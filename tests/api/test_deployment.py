"""Functions that need no training do what the commands do."""

import json

import numpy as np
import onnx
import pytest

import decig
from decig import BadInputError
from decig.device.cost.table import CostTable
from tests.samples import PIXELS, call, write_generator, write_photos
from tests.samples import decig as run

PIXELS_OF_SAMPLES = {
    "input_range": (0.0, 1.0),
    "output_range": (0.0, 1.0),
    "channel_order": "rgb",
}


@pytest.fixture
def model(tmp_path):
    return write_generator(tmp_path / "m.onnx")


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
    assert first.predicted_ms == pytest.approx(second.predicted_ms)


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


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1.5])
def test_a_confidence_that_none_can_have_is_refused_first(model, confidence):
    with pytest.raises(BadInputError, match=r"it goes from 0\.5 to below 1"):
        decig.check(model, model, confidence=confidence)


def test_a_table_that_was_just_taken_is_the_one_that_is_read(model, tmp_path):
    """A run that profiled for itself goes on with the table of its folder."""
    table = decig.profile(model, effort="quick")
    table.save(tmp_path / "t.json")
    assert CostTable.load(tmp_path / "t.json") == table


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
        ({"keep": 2}, "a share is above 0 and at most 1"),
        ({"keep": -1}, "a share is above 0 and at most 1"),
    ],
)
def test_what_does_not_go_together_is_refused(model, tmp_path, asked, message):
    with pytest.raises(BadInputError, match=message):
        decig.slice(model, tmp_path / "x.onnx", **asked)
    assert not (tmp_path / "x.onnx").exists()


def test_no_result_replaces_the_model_that_it_is_made_of(model, tmp_path):
    photos, before = write_photos(tmp_path / "photos"), model.read_bytes()
    (tmp_path / "link.onnx").symlink_to(model)
    with pytest.raises(BadInputError, match=r"m\.onnx: this is the model itself: name another fi"):
        decig.slice(model, model, keep=0.5)
    with pytest.raises(BadInputError, match="this is the model itself"):
        decig.export(model, tmp_path / "link.onnx")
    source = decig.load(model, **PIXELS_OF_SAMPLES)
    with pytest.raises(BadInputError, match="this is the model itself"):
        decig.check(source, source, data=photos, grid=model)
    assert call_fails("profile", model, "-o", model, "--quick").endswith("another file to write\n")
    assert model.read_bytes() == before


def call_fails(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 2
    return result.stderr
