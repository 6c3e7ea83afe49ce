"""A generator that adds noise to its features: cut, verified, repaired, exported and checked."""

from pathlib import Path

import onnx
import pytest

from decig.deploy.verify import runner
from decig.graph.draws import drawing
from decig.graph.model import load_model
from tests.graph.random_nets import NOISE, noisy
from tests.samples import PIXELS, call, decig, write_generator, write_photos

CUT = sorted(name for name, (_, _, cut) in NOISE.items() if cut)

WIDE = ("--input-range", "0,1", "--output-range", "-100,100", "--channel-order", "rgb")
"""Pixel format of nets with random weights, whose pictures have large values."""


def write(path: Path, name: str, size: int = 8) -> Path:
    onnx.save(noisy(name, size), path)
    return path


@pytest.mark.parametrize("name", CUT)
def test_slices_are_verified_on_the_same_draws(name, tmp_path):
    model, half = write(tmp_path / "m.onnx", name), tmp_path / "half.onnx"
    found = call("slice", model, "--keep", 0.5, "--verify", "-o", half)
    assert found["max_abs_diff"] < 1e-4
    assert sum(n for group, n in found["removed"].items() if group.startswith("mid")) >= 3
    sliced = load_model(half).proto
    assert len(drawing(sliced)) == 1  # it draws still


def test_a_wrong_slice_is_still_found(tmp_path, monkeypatch):
    """The same draws hide nothing."""
    from decig.deploy import cutter
    from decig.graph.slicing import slice_graph

    def spoiled(*given):
        sliced = slice_graph(*given)
        bias = next(t for t in sliced.graph.initializer if t.name == "w3")
        bias.raw_data = bytes(len(bias.raw_data))
        return sliced

    monkeypatch.setattr(cutter, "slice_graph", spoiled)
    model = write(tmp_path / "m.onnx", "normal, every channel")
    result = decig("slice", model, "--keep", 0.5, "--verify", "-o", tmp_path / "half.onnx")
    assert result.exit_code == 1
    assert "outputs differ by" in result.stderr


@pytest.mark.parametrize("name", ["normal, every channel", "of a shape", "coins"])
def test_repair_works_on_the_same_draws(name, tmp_path):
    model, photos = write(tmp_path / "m.onnx", name), write_photos(tmp_path / "photos", 8)
    plain, repaired = tmp_path / "plain.onnx", tmp_path / "repaired.onnx"
    call("slice", model, "--keep", 0.5, "-o", plain)
    call("slice", model, "--keep", 0.5, "-o", repaired, "--repair", photos, *WIDE, "--verify")
    assert len(drawing(load_model(repaired).proto)) == 1


@pytest.mark.parametrize("name", CUT)
def test_exports_are_compared_on_the_same_draws(name, tmp_path):
    model, out = write(tmp_path / "m.onnx", name), tmp_path / "out.onnx"
    assert call("export", model, "-o", out)["max_abs_diff"] < 1e-4
    assert len(drawing(onnx.load(out))) == 1


def test_check_says_that_the_model_draws(tmp_path):
    model, photos = write(tmp_path / "m.onnx", "uniform", 16), write_photos(tmp_path / "photos")
    found = call("check", model, "--reference", model, "--data", photos, *WIDE)
    assert found["ssim"] == pytest.approx(1)  # on the same draws
    (notice,) = found["notices"]
    assert "m.onnx draws random numbers (RandomUniformLike " in notice
    quiet = write_generator(tmp_path / "quiet.onnx", size=16)
    found = call("check", quiet, "--reference", quiet, "--data", photos, *PIXELS)
    assert "notices" not in found


def test_a_model_may_be_left_to_draw(tmp_path):
    proto = load_model(write(tmp_path / "m.onnx", "normal, every channel")).proto
    from tests.graph.tiny import random_feeds

    feeds = random_feeds(proto)
    still, free = runner(proto), runner(proto, given={})
    assert (still(feeds)[0] == still(feeds)[0]).all()
    assert (free(feeds)[0] != free(feeds)[0]).any()


@pytest.mark.train
def test_what_draws_cannot_be_trained_and_says_so_early(tmp_path):
    model = write(tmp_path / "m.onnx", "normal, every channel", 16)
    table = tmp_path / "t.json"
    photos = write_photos(tmp_path / "photos")
    assert decig("profile", model, "-o", table, "--quick").exit_code == 0
    given = ("--profile", table, "--data", photos, "--output-dir", tmp_path / "run", "--steps", 2)
    result = decig("compress", model, *given, "--target-speedup", 1.05, *WIDE)
    assert result.exit_code == 2
    assert "RandomNormalLike" in result.stderr
    assert "cannot be trained" in result.stderr
