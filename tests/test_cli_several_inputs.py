"""A generator with several inputs and outputs, through every command."""

import json
from pathlib import Path

import onnx
import pytest
from graph.tiny import parse
from samples import PIXELS, decig, write_photos

from decig.deploy import rewriting

# Image, label map, style code (AdaIN) and noise in; a mask beside the picture out.
BODY = """
    both = Concat<axis=1>(image, labels)
    [stem] a = Conv<pads=[1,1,1,1]>(both, w1)
    n = InstanceNormalization(a, one, zero)
    [affine] s = Gemm(code, ws, bs)
    s4 = Unsqueeze(s, at)
    m = Mul(n, s4)
    [strength] weighted = Conv(noise, w5)
    p = Add(m, weighted)
    r = Relu(p)
    [body] b = Conv<pads=[1,1,1,1]>(r, w2)
    q = Relu(b)
    [head] h = Conv<pads=[1,1,1,1]>(q, w3)
    picture = Sigmoid(h)
    [masker] k = Conv(q, w4)
    mask = Sigmoid(k)
"""
INPUTS = (
    "float[1,35,12,12] labels, float[1,3,12,12] image, float[1,16] code, float[1,1,12,12] noise"
)
OUTPUTS = "float[1,1,12,12] mask, float[1,3,12,12] picture"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    proto = parse(
        BODY,
        inputs=INPUTS,
        outputs=OUTPUTS,
        w1=(16, 38, 3, 3),
        one=(16,),
        zero=(16,),
        ws=(16, 16),
        bs=(16,),
        at=[2, 3],
        w5=(16, 1, 1, 1),
        w2=(8, 16, 3, 3),
        w3=(3, 8, 3, 3),
        w4=(1, 8, 1, 1),
    )
    path = tmp_path / "several.onnx"
    onnx.save(proto, path)
    return path


def call(*arguments: object) -> dict:
    result = decig(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict = json.loads(result.stdout)
    return found


def test_every_command(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewriting, "_SECONDS", 0.05)
    groups = call("inspect", model)["groups"]
    assert sorted(group["channels"] for group in groups if group["prunable"]) == [8, 16]
    half = tmp_path / "half.onnx"
    cut = call("slice", model, "-o", half, "--keep", 0.5, "--verify")
    assert sorted(cut["removed"].values()) == [4, 8]
    assert cut["max_abs_diff"] <= 1e-4
    table = tmp_path / "table.json"
    assert decig("profile", model, "-o", table).exit_code == 0
    inputs = json.loads(table.read_text())["model"]["inputs"]
    assert list(inputs) == ["labels", "image", "code", "noise"]
    out = tmp_path / "out.onnx"
    assert call("export", half, "-o", out)["max_abs_diff"] <= 1e-4
    photos = write_photos(tmp_path / "photos", 2)
    verdict = call("check", out, "--reference", half, "--data", photos, *PIXELS)
    assert verdict["images"] == 2
    assert verdict["ssim"] > 0.999
    same = call("check", half, "--reference", model, "--data", photos, *PIXELS)
    assert same["ssim"] < 0.999


def test_repair_says_that_it_needs_one_input(model: Path, tmp_path: Path):
    photos = write_photos(tmp_path / "photos", 1)
    asked = ("--keep", 0.5, "--repair", photos, *PIXELS)
    result = decig("slice", model, "-o", tmp_path / "x.onnx", *asked)
    assert result.exit_code == 2
    assert "--repair needs a model with one input" in result.stderr
