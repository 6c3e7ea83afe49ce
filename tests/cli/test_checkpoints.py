"""A checkpoint of pix2pix from the command line: sliced, compared, and with either statistics."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from decig.device.run.device import Device
from decig.source.recipe import load_recipe
from tests.samples import decig, write_photos

MODEL = Path(__file__).parents[2] / "models" / "pix2pix-unet256"
pytestmark = pytest.mark.train


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """latest_net_G.pth of a small U-Net for 32x32 pixels, whose batch norms have seen pictures."""
    import torch

    from decig.training.pytorch.generator import build_generator

    recipe = load_recipe(MODEL)
    torch.manual_seed(0)
    code = replace(recipe.source, arguments={"width": 8, "levels": 5})
    net = build_generator(code, recipe.folder).train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(4, 3, 32, 32))
    torch.save(net.state_dict(), tmp_path / "latest_net_G.pth")
    return tmp_path / "latest_net_G.pth"


def _slice(checkpoint: Path, out: Path, *more: str):
    done = decig(
        "slice", MODEL, "--weights", checkpoint, "--keep", 0.5, "--verify", "-o", out, *more
    )
    assert done.exit_code == 0, done.stderr
    assert "width = 8, levels = 5" in done.stderr
    assert "the input is 1x3x32x32" in done.stderr
    return done


def test_the_statistics_of_batch_norms_are_named_and_chosen(checkpoint, tmp_path):
    named = _slice(checkpoint, tmp_path / "saved.onnx", "--json")
    assert "with --batch-statistics they use those of each picture" in named.stderr
    assert json.loads(named.stdout)["max_abs_diff"] < 1e-5
    asked = _slice(checkpoint, tmp_path / "own.onnx", "--batch-statistics")
    assert "--batch-statistics" not in asked.stderr
    kinds = {}
    for name in ("saved", "own"):
        proto = onnx.load(tmp_path / f"{name}.onnx")
        kinds[name] = {node.op_type for node in proto.graph.node if "Normal" in node.op_type}
        image = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
        assert np.isfinite(Device.of().open(proto).run(None, {"input": image})[0]).all()
    assert kinds == {"saved": {"BatchNormalization"}, "own": {"InstanceNormalization"}}


def test_check_takes_the_statistics_of_the_reference(checkpoint, tmp_path):
    out = tmp_path / "whole.onnx"
    done = decig(
        "slice", MODEL, "--weights", checkpoint, "--keep", 1, "--batch-statistics", "-o", out
    )
    assert done.exit_code == 0, done.stderr
    photos = write_photos(tmp_path / "photos")
    asked = ("check", out, "--reference", MODEL, "--weights", checkpoint, "--data", photos)
    found = {}
    for flag in ("--batch-statistics", "--saved-statistics"):
        done = decig(*asked, flag, "--json")
        assert done.exit_code == 0, done.stderr
        found[flag] = json.loads(done.stdout)["psnr_db"]
    assert found["--saved-statistics"] < 40 < (found["--batch-statistics"] or np.inf)


def test_a_discriminator_is_refused_in_one_line(tmp_path):
    import torch

    from decig.training.nets.patch_gan import PatchDiscriminator

    torch.save(PatchDiscriminator(6, 4, norm="batch").state_dict(), tmp_path / "latest_net_D.pth")
    done = decig(
        "slice", MODEL, "--weights", tmp_path / "latest_net_D.pth", "--keep", 0.5, "-o", "out.onnx"
    )
    assert done.exit_code == 2
    assert "latest_net_D.pth: this is a discriminator (PatchGAN," in done.stderr
    assert len(done.stderr.splitlines()) == 1
