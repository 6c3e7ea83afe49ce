import json
import sys

import onnx
import pytest
from PIL import Image

from decig.quality import features
from decig.source.stamp import stamp
from tests.samples import PIXELS, decig, write_broken, write_generator, write_photos


@pytest.fixture
def models(tmp_path):
    reference = write_generator(tmp_path / "reference.onnx")
    candidate = tmp_path / "candidate.onnx"
    assert decig("slice", reference, "-o", candidate, "--keep", 0.5, *PIXELS).exit_code == 0
    return candidate, reference


def check(models, folder, *arguments):
    candidate, reference = models
    return decig("check", candidate, "--reference", reference, "--data", folder, *arguments)


def test_json_has_the_keys_that_others_rely_on(models, tmp_path):
    result = check(models, write_photos(tmp_path / "photos"), "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["latency_ms"].keys() == {"reference", "candidate"}
    assert found["macs"]["candidate"] < found["macs"]["reference"]
    assert found["params"]["candidate"] < found["params"]["reference"]
    assert found["speedup"] > 0
    assert 0 < found["ssim"] < 1
    assert found["psnr_db"] > 0
    assert found["colour"].keys() == {"reference", "candidate"}
    assert found["edges"] > 0
    assert found["images"] == 3
    assert found["passed"] is None  # nothing was asked for
    assert found["failures"] == []
    assert "roofline" not in found


def test_figures_of_a_broken_model_are_null(models, tmp_path):
    write_broken(tmp_path / "broken.onnx")
    folder = write_photos(tmp_path / "photos")
    asked = ("--json", "--min-ssim", "0.5", "--grid", tmp_path / "grid.png", *PIXELS)
    result = check((tmp_path / "broken.onnx", models[1]), folder, *asked)
    assert result.exit_code == 3
    found = json.loads(result.stdout, parse_constant=pytest.fail)  # NaN is no JSON
    assert found["ssim"] is found["psnr_db"] is found["edges"] is None
    assert not found["passed"]


def test_the_reference_itself_is_perfect(models, tmp_path):
    folder = write_photos(tmp_path / "photos")
    result = check((models[1], models[1]), folder, "--json", "--min-ssim", "0.9999", *PIXELS)
    found = json.loads(result.stdout)
    assert found["ssim"] == pytest.approx(1)
    assert found["psnr_db"] == pytest.approx(100)
    assert found["edges"] == 0
    assert found["passed"] is True


@pytest.mark.parametrize(
    ("arguments", "failure"),
    [
        (("--min-ssim", "0.9999"), "SSIM"),
        (("--min-psnr", "99"), "PSNR"),
        (("--max-latency", "0.001us"), "latency"),
        (("--min-speedup", "1000"), "speedup"),
    ],
)
def test_a_missed_tolerance_is_exit_code_3(models, tmp_path, arguments, failure):
    result = check(models, write_photos(tmp_path / "photos"), "--json", *arguments)
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert found["passed"] is False
    assert [failure in line and arguments[0] in line for line in found["failures"]] == [True]
    assert result.stderr.startswith(f"decig: error: {models[0]}: {failure}")


def test_all_missed_tolerances_are_named(models, tmp_path):
    folder = write_photos(tmp_path / "photos")
    result = check(models, folder, "--min-psnr", "99", "--min-speedup", "1000", "--json")
    assert len(json.loads(result.stdout)["failures"]) == 2


def test_the_grid_shows_what_was_compared(models, tmp_path):
    grid = tmp_path / "grid.png"
    result = check(models, write_photos(tmp_path / "photos"), "--grid", grid)
    assert result.exit_code == 0
    with Image.open(grid) as picture:
        assert picture.size[0] > 3 * 24
        assert picture.size[1] > 3 * 24
    for text in ("latency, ms", "times faster", "SSIM", "on 3 images"):
        assert text in result.stdout


def test_the_roofline_of_both(models, tmp_path):
    folder = write_photos(tmp_path / "photos")
    found = json.loads(check(models, folder, "--json", "--roofline").stdout)
    roofline = found["roofline"]
    assert roofline.keys() == {"limits", "reference", "candidate"}
    for side in ("reference", "candidate"):
        assert roofline[side]["macs"] == found["macs"][side]
        assert {"conv1", "conv2", "head"} <= {node["name"] for node in roofline[side]["nodes"]}
    shown = check(models, folder, "--roofline").stdout
    assert shown.count("of limit") == shown.count("of what the limits allow") == 2


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ((), None),
        (("--strict",), False),
        (("--max-unreadable", 0), False),
        (("--max-unreadable", 1), True),
        (("--strict", "--max-unreadable", 1), True),
    ],
)
def test_unreadable_images_are_allowed_up_to_a_limit(models, tmp_path, options, passed):
    folder = write_photos(tmp_path / "photos")
    (folder / "b.jpg").write_bytes(b"no image")
    result = check(models, folder, "--json", *options)
    assert result.exit_code == (3 if passed is False else 0)
    found = json.loads(result.stdout)
    assert found["passed"] is passed
    missed = ["1 images are unreadable, at most 0 may be (--max-unreadable)"]
    assert found["failures"] == (missed if passed is False else [])


def test_a_corrupt_jpeg_is_named_skipped_and_counted(models, tmp_path):
    folder = write_photos(tmp_path / "photos")
    whole = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(whole[: len(whole) // 3])
    result = check(models, folder, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["images"] == 2
    assert found["skipped"] == [str(folder / "b.jpg")]
    assert result.stderr.count("b.jpg") == 1
    assert "1 unreadable files skipped" in check(models, folder).stdout


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_folders_without_a_usable_image(models, tmp_path, content):
    folder = tmp_path / "photos"
    folder.mkdir()
    if content is not None:
        (folder / "a.jpg").write_bytes(content)
    result = check(models, folder)
    assert result.exit_code == 2
    assert "photos" in result.stderr.splitlines()[-1]


def test_pixels_that_nothing_says(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    result = check((model, model), write_photos(tmp_path / "photos"))
    assert result.exit_code == 2
    for flag in ("--input-range", "--output-range", "--channel-order"):
        assert flag in result.stderr


def test_models_of_other_channels(models, tmp_path):
    grey = write_generator(tmp_path / "grey.onnx", channels=1)
    result = check((grey, models[1]), write_photos(tmp_path / "photos"))
    assert result.exit_code == 2
    assert "grey.onnx takes 1x1x24x24" in result.stderr
    assert "takes 1x3x24x24" in result.stderr


def test_a_model_that_takes_no_image(tmp_path):
    model = write_generator(tmp_path / "m.onnx", channels=4)
    result = check((model, model), write_photos(tmp_path / "photos"), "--layout", "nchw", *PIXELS)
    assert result.exit_code == 2
    assert "input has 4 channels" in result.stderr


def test_grey_models_are_fed_luma(tmp_path):
    model = write_generator(tmp_path / "m.onnx", channels=1)
    ranges = PIXELS[:4]
    result = check((model, model), write_photos(tmp_path / "photos"), "--json", *ranges)
    assert json.loads(result.stdout)["ssim"] == pytest.approx(1)


@pytest.fixture
def with_features():
    if (package := features.lacking()) is not None:
        pytest.skip(f"needs {package}: pip install 'decig[quality]'")


def test_distances_of_the_pictures_as_a_whole(models, tmp_path, with_features):
    folder = write_photos(tmp_path / "photos", 4)
    found = json.loads(check(models, folder, "--json").stdout)
    assert found["kid"] > 0
    assert found["kid_standard_error"] > 0
    assert found["frechet_distance"] > 0
    assert found["ms_ssim"] is None  # 24x24 pixels
    assert found["protocol"]["features"].startswith("EfficientNet-Lite0")
    assert found["protocol"]["pictures"] == found["protocol"]["pairs"] == 4
    assert "real" not in found
    shown = check(models, folder).stdout.replace("\n", " ")
    assert "KID 0." in shown
    assert "not to be compared with KID and FID on Inception features" in shown


def test_the_reference_itself_has_no_distance(models, tmp_path, with_features):
    folder = write_photos(tmp_path / "photos", 4)
    result = check((models[1], models[1]), folder, "--json", "--max-kid", "0.000001", *PIXELS)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["kid"] == pytest.approx(0, abs=1e-9)
    assert found["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert found["passed"] is True


def test_a_missed_kid_is_exit_code_3(models, tmp_path, with_features):
    folder = write_photos(tmp_path / "photos", 4)
    result = check(models, folder, "--json", "--max-kid", "0")
    assert result.exit_code == 3
    (failure,) = json.loads(result.stdout)["failures"]
    assert failure.startswith("KID 0.")
    assert failure.endswith("to the reference's pictures is over 0 (--max-kid)")


def test_a_kid_of_one_picture_never_passes(models, tmp_path, with_features):
    result = check(models, write_photos(tmp_path / "photos", 1), "--json", "--max-kid", "100")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert found["kid"] is None
    assert "takes two pictures and more" in found["failures"][0]


def test_real_pictures_of_the_same_names(models, tmp_path, with_features):
    folder = write_photos(tmp_path / "photos", 4)
    targets = write_photos(tmp_path / "targets", 4)
    asked = ("--targets", targets, "--max-kid", "0")
    result = check(models, folder, "--json", *asked)
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    real = found["real"]
    for key in ("ssim", "psnr_db", "kid", "kid_standard_error", "frechet_distance"):
        assert real[key].keys() == {"reference", "candidate"}
    assert real["protocol"]["pairs"] == 4
    assert "to the real pictures is over 0 (--max-kid)" in found["failures"][0]
    shown = check(models, folder, "--targets", targets).stdout
    for text in ("to real pictures", "KID", "Frechet distance", "PSNR, dB", "4 in pairs"):
        assert text in shown


def test_real_pictures_of_other_names(models, tmp_path, with_features):
    folder, targets = write_photos(tmp_path / "photos", 4), write_photos(tmp_path / "targets", 4)
    for file in sorted(targets.iterdir()):
        file.rename(file.with_stem(f"real-{file.stem}"))
    found = json.loads(check(models, folder, "--json", "--targets", targets).stdout)
    assert found["real"]["ssim"] is None
    assert found["real"]["protocol"]["pairs"] == 0
    assert found["real"]["kid"]["candidate"] is not None
    shown = check(models, folder, "--targets", targets).stdout
    assert "0 of 4 images have a target of their name" in shown


@pytest.mark.parametrize("option", ["--max-kid", "--targets"])
def test_a_missing_network_is_named_before_any_model_is_read(tmp_path, monkeypatch, option):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    value = write_photos(tmp_path / "targets") if option == "--targets" else "0.1"
    missing = tmp_path / "missing.onnx"
    result = check((missing, missing), tmp_path, option, value)
    assert result.exit_code == 2
    assert result.stderr == f"decig: error: {option} needs torch: pip install 'decig[quality]'\n"


def test_what_was_left_out_without_the_network_is_said(models, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    folder = write_photos(tmp_path / "photos")
    found = json.loads(check(models, folder, "--json").stdout)
    assert found["kid"] is found["frechet_distance"] is found["protocol"] is None
    assert found["ssim"] > 0
    assert "left out: KID needs " in (shown := check(models, folder).stdout)
    assert "pip install 'decig[quality]'" in shown


def test_more_multiply_accumulates_of_an_exported_file_are_explained(tmp_path):
    reference, photos = write_generator(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    proto = onnx.load(reference)
    figures = {"macs": 2_000_000, "macs_before": 1_500_000, "rewrites": {"kept": ["wide_head"]}}
    stamp(proto, {"figures": figures})
    onnx.save(proto, tmp_path / "out.onnx")
    asked = ("--reference", reference, "--data", photos, *PIXELS, "--timing", "1s")
    told = "1,500,000 before export, which rewrote it for speed (wide_head)"
    assert told in decig("check", tmp_path / "out.onnx", *asked).stdout
    assert "before export" not in decig("check", reference, *asked).stdout
