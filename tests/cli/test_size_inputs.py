"""A model with a ratio beside the picture that says how large the picture is inside."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.graph.tiny import parse, run
from tests.samples import PIXELS, call, decig, write_photos

FEED = ("--feed", "ratio=0.5")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    proto = parse(
        """
        scales = Concat<axis=0>(ones, ratio, ratio)
        r = Resize<mode="linear">(x, , scales)
        [first] a = Conv<pads=[1,1,1,1]>(r, w)
        b = Relu(a)
        [last] c = Conv<pads=[1,1,1,1]>(b, v)
        y = Sigmoid(c)
        """,
        inputs="float[1,3,32,32] x, float[1] ratio",
        outputs="float[N,3,H,W] y",
        ones=np.ones(2, np.float32),
        w=(8, 3, 3, 3),
        v=(3, 8, 3, 3),
    )
    onnx.save(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.mark.parametrize(
    "command",
    [
        "inspect {m}",
        "profile {m} -o {o}",
        "slice {m} --keep 0.5 -o {o}",
        "export {m} -o {o}",
        "check {m} --reference {m} --data {d}",
    ],
)
def test_every_command_asks_for_the_ratio(command, model, tmp_path):
    out = tmp_path / "out"
    photos = write_photos(tmp_path / "photos")
    for feed in ("", " --feed ratio=normal"):
        line = command.format(m=model, o=out, d=photos) + feed
        result = decig(*line.split())
        assert result.exit_code == 2
        assert "m.onnx: input ratio sets sizes inside the model (Resize" in result.stderr
        assert "as in --feed ratio=0.5" in result.stderr
    assert not out.exists()


def test_figures_are_those_of_the_declared_ratio(model):
    for ratio, size in ((0.5, 16), (2, 64)):
        found = call("inspect", model, "--feed", f"ratio={ratio}")
        assert found["macs"] == 2 * 8 * 3 * 9 * size**2
        assert [group["channels"] for group in found["groups"] if group["prunable"]] == [8]
    table = model.parent / "t.json"
    assert decig("profile", model, "-o", table, "--quick", *FEED).exit_code == 0
    assert "latency_share" in call("inspect", model, *FEED, "--profile", table)["groups"][0]


def test_the_sliced_file_takes_the_ratio_still(model, tmp_path):
    half, out, photos = tmp_path / "half.onnx", tmp_path / "out.onnx", tmp_path / "photos"
    write_photos(photos)
    asked = ("slice", model, "--keep", 0.5, "--verify", *FEED)
    found = call(*asked, "-o", half, "--repair", photos, *PIXELS)
    assert found["macs"]["after"] * 2 == found["macs"]["before"]
    assert found["max_abs_diff"] < 1e-4
    call("export", half, "-o", out)  # the file says what its ratio was
    x = np.random.default_rng(0).uniform(size=(1, 3, 32, 32)).astype(np.float32)
    for ratio, size in ((0.5, 16), (1, 32), (2, 64)):
        feeds = {"x": x, "ratio": np.array([ratio], np.float32)}
        (sliced,), (exported,) = run(onnx.load(half), feeds), run(onnx.load(out), feeds)
        assert sliced.shape == (1, 3, size, size)
        np.testing.assert_allclose(exported, sliced, atol=1e-5)
    verdict = call("check", out, "--reference", model, "--data", photos, *FEED, *PIXELS)
    assert verdict["images"] == 3
    assert verdict["ssim"] > 0.3


@pytest.mark.train
def test_what_was_trained_takes_the_ratio_still(model, tmp_path):
    table, run_folder, out = tmp_path / "t.json", tmp_path / "run", tmp_path / "out.onnx"
    photos = write_photos(tmp_path / "photos", 4)
    assert decig("profile", model, "-o", table, "--quick", *FEED).exit_code == 0
    given = ("--profile", table, "--data", photos, "--output-dir", run_folder, "--steps", 4)
    (tmp_path / "any.toml").write_text("[decig]\ncondense = 0.5\n")  # nothing is timed
    found = call("compress", model, *given, "--config", tmp_path / "any.toml", *FEED, *PIXELS)
    assert found["steps"] == 2
    call("export", run_folder, "-o", out)
    x = np.random.default_rng(0).uniform(size=(1, 3, 32, 32)).astype(np.float32)
    for ratio, size in ((0.5, 16), (2, 64)):
        feeds = {"x": x, "ratio": np.array([ratio], np.float32)}
        assert run(onnx.load(out), feeds)[0].shape == (1, 3, size, size)
