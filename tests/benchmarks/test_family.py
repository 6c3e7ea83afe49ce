"""Peers of a recipe: the same net at every width, and what is screened is what is trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from competitors.family import STYLE, family_of
from competitors.matching import PeerLatency
from competitors.style_net import InstanceNorm
from competitors.training import write_onnx
from torch import nn

from decig.device.run.device import Device
from decig.errors import DecigError
from decig.quality.parity import max_abs_diff
from tests.benchmarks.small import MODELS, SIDE, write_recipe


def run(model: object, image: np.ndarray) -> np.ndarray:
    session = Device.of().open(model)
    return session.run(None, {session.get_inputs()[0].name: image})[0]


def test_widths_are_the_same_share_everywhere() -> None:
    family = family_of(MODELS / "facades-resunet")
    assert family.widest == 192
    net = family.make(96)
    widths = [net.stem[0].out_channels, *(down[0][0].out_channels for down in net.down)]
    assert widths == [16, 24, 48, 80, 96]
    assert family_of(MODELS / "pix2pix-unet256").make(16).model.model[0].out_channels == 16


def test_norms_have_the_right_gradient() -> None:
    net = family_of(MODELS / "facades-resunet").make(12)
    norms = [module for module in net.modules() if isinstance(module, nn.InstanceNorm2d)]
    assert norms and all(type(norm) is InstanceNorm for norm in norms)


def test_without_a_recipe_it_is_the_style_net() -> None:
    assert family_of(None) is STYLE


def test_a_recipe_without_widths_is_an_error(tmp_path: Path) -> None:
    folder = write_recipe(tmp_path / "recipe")
    text = (folder / "recipe.toml").read_text()
    (folder / "recipe.toml").write_text(text.replace("widths = [8, 12, 16], ", ""))
    with pytest.raises(DecigError, match="neither width nor widths"):
        family_of(folder)


def test_screened_graphs_are_the_nets_that_are_trained(tmp_path: Path) -> None:
    family, shape = family_of(write_recipe(tmp_path / "recipe")), [1, 3, SIDE, SIDE]
    image = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    peers = PeerLatency(shape, family)
    torch.manual_seed(0)
    narrow = peers.graph(9)
    torch.manual_seed(0)
    write_onnx(family.make(9), shape, tmp_path / "net.onnx")
    assert max_abs_diff(run(tmp_path / "net.onnx", image), run(narrow, image)) < 1e-5
