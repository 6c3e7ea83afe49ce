"""Checkpoints of the reference implementations load into the folders of models/ as they are."""

import hashlib
import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.source.recipe import load_recipe
from decig.training.nets.multiscale import MultiscaleDiscriminator
from decig.training.nets.patch_gan import PatchDiscriminator
from decig.training.pytorch.discriminator import load_discriminator
from decig.training.pytorch.generator import build_generator
from decig.training.pytorch.load import load_module, load_pytorch
from decig.training.pytorch.reparametrise import plain_shapes
from tests.reference_weights import digest, make_weights

FOLDERS = Path(__file__).parents[1] / "models"
TOLERANCE = 1e-5
"""Of the largest value of an output: what rounding may do."""
EXPORTED_TOLERANCE = 2e-5
"""The same where ONNX Runtime computes, which rounds in another order than PyTorch."""

MIDDLE = (slice(None), slice(None), slice(96, 160), slice(96, 160))
EVERY4 = (slice(None), slice(None), slice(None, None, 4), slice(None, None, 4))
WHOLE = ...


@dataclass(frozen=True)
class Reference:
    """A net of a reference implementation, and where decig takes its checkpoint.

    Attributes:
        recipe: in models/.
        outer: key of the checkpoint under which its weights lie; "" for none.
        outputs: arrays that are stored, and what part of the output each of them is.
        arguments: of its class, beyond the recipe's.
    """

    recipe: str
    outer: str = ""
    outputs: tuple[tuple[str, object], ...] = (("output", WHOLE),)
    arguments: dict[str, Any] = field(default_factory=dict)


GENERATORS = {
    "pix2pix_unet256": Reference(
        "pix2pix-unet256", outputs=(("output_every4", EVERY4), ("output_middle", MIDDLE))
    ),
    "cyclegan_resnet9": Reference("cyclegan-resnet9"),
    "cut_resnet9": Reference("cut-resnet9"),
    "gancompression_mobile_resnet9": Reference("mobile-resnet9"),
    "spade_facades": Reference("gaugan-spade", arguments={"labels": 13}),
    "animegan2": Reference("animegan-v2"),
    "ugatit_light": Reference("ugatit-light", outer="genA2B"),
    "realesr_animevideov3": Reference("realesrgan-compact", outer="params"),
    "realesrgan_x4plus": Reference("realesrgan-rrdb", outer="params_ema"),
    "stylegan2_256": Reference(
        "stylegan2-decoder",
        outer="g_ema",
        outputs=(("output_every4", EVERY4), ("output_middle", MIDDLE)),
        arguments={"mapping": 8},
    ),
    "animegan2, corners aligned": Reference(
        "animegan-v2/align-corners.toml", outputs=(("output_align_corners", WHOLE),)
    ),
}
DISCRIMINATORS = {
    "pix2pix_patchgan": lambda: PatchDiscriminator(6, norm="batch"),
    "cyclegan_patchgan": lambda: PatchDiscriminator(3, norm="instance"),
    "spade_facades_discriminator": lambda: MultiscaleDiscriminator(16),
}


def _stem(name: str) -> str:
    """Name of the stored files of a net."""
    return name.partition(",")[0]


def _save(shared: Path, name: str, outer: str, path: Path) -> dict[str, np.ndarray]:
    """Save a checkpoint as its users have it; returns the stored input and outputs."""
    told = json.loads((shared / f"{name}.json").read_text())
    weights = make_weights(told["keys"])
    assert digest(told["keys"], weights) == told["weights_sha256"]
    state = {key: torch.from_numpy(value) for key, value in weights.items()}
    torch.save({outer: state} if outer else state, path)
    with np.load(shared / f"{name}.npz") as stored:
        return dict(stored)


def _require_same(found: np.ndarray, wanted: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert found.shape == wanted.shape
    difference = np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max())
    assert difference <= tolerance


@pytest.mark.parametrize("name", GENERATORS)
def test_the_generator_gives_the_stored_output(shared_checkpoints, tmp_path, name):
    wanted = GENERATORS[name]
    stored = _save(shared_checkpoints, _stem(name), wanted.outer, tmp_path / "w.pth")
    recipe = load_recipe(FOLDERS / wanted.recipe)
    code = replace(recipe.source, weights=str(tmp_path / "w.pth"))
    module, _ = load_module(code, recipe.folder, recipe.input_shapes, name)
    with torch.no_grad():
        found = module(torch.from_numpy(stored["input"])).numpy()
    for array, part in wanted.outputs:
        _require_same(found[part], stored[array])


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATORS)
def test_the_exported_graph_gives_the_stored_output(shared_checkpoints, tmp_path, name):
    wanted = GENERATORS[name]
    stored = _save(shared_checkpoints, _stem(name), wanted.outer, tmp_path / "w.pth")
    recipe = load_recipe(FOLDERS / wanted.recipe)
    code = replace(recipe.source, weights=str(tmp_path / "w.pth"))
    given = {"input": list(stored["input"].shape)}
    model = load_pytorch(code, recipe.folder, given, name, given=["input"])
    found = Device.of().open(model.proto).run(None, {"input": stored["input"]})[0]
    for array, part in wanted.outputs:
        _require_same(found[part], stored[array], EXPORTED_TOLERANCE)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_the_discriminator_gives_the_stored_output(shared_checkpoints, tmp_path, name):
    stored = _save(shared_checkpoints, name, "", tmp_path / "w.pth")
    net = load_discriminator(tmp_path / "w.pth")
    with torch.no_grad():
        found = net(torch.from_numpy(stored["input"]))
    if isinstance(found, torch.Tensor):
        _require_same(found.numpy(), stored["output"])
        return
    for scale, features in enumerate(found):
        _require_same(features[-1].numpy(), stored[f"output_{scale}"])


OTHER_SIZES = {
    "pix2pix-unet256": [
        {"width": 8, "levels": 7},
        {"width": 4, "levels": 5, "inputs": 1, "outputs": 2, "norm": "instance"},
    ],
    "cyclegan-resnet9": [
        {"width": 8, "blocks": 6},
        {"width": 4, "blocks": 2, "inputs": 4, "outputs": 1, "norm": "batch", "dropout": 0.5},
    ],
    "cut-resnet9": [
        {"width": 8, "blocks": 6, "blur_up": False},
        {"width": 4, "blocks": 2, "inputs": 4, "outputs": 1, "blur_down": False},
    ],
    "mobile-resnet9": [
        {"width": 8, "blocks": 6},
        {"inputs": 4, "widths": [4, 6, 8, 10, 12], "middles": [5, 7, 9]},
    ],
    "gaugan-spade": [
        {"labels": 5, "width": 2, "hidden": 6},
        {"labels": 13, "width": 2, "upsampling": "most", "norm": "instance"},
    ],
    "animegan-v2": [{"width": 8, "blocks": 3}],
    "ugatit-light": [{"width": 8, "blocks": 2}, {"width": 4, "blocks": 5, "whole_side": 32}],
    "realesrgan-compact": [{"width": 8, "blocks": 3, "scale": 2}, {"width": 4, "channels": 1}],
    "realesrgan-rrdb": [
        {"width": 8, "growth": 4, "blocks": 1, "scale": 2},
        {"width": 4, "growth": 4, "blocks": 2, "scale": 1, "channels": 1},
    ],
    "stylegan2-decoder": [
        {"widths": [12, 8, 6], "style": 16, "mapping": 2},
        {"widths": [4, 4], "style": 8},
    ],
}
"""Other arguments of the classes in models/, which are read off a checkpoint."""

KEYS = {
    "animegan2": "d869754d77e67aa7",
    "cut_resnet9": "5e82c648b124ebe5",
    "cyclegan_patchgan": "0e75f2a2d83562d7",
    "cyclegan_resnet9": "46b39248d82567c7",
    "gancompression_mobile_resnet9": "f9693cfca7125199",
    "pix2pix_patchgan": "3d5d18821f901a73",
    "pix2pix_unet256": "6e4ecd4533d7dc7f",
    "realesr_animevideov3": "8869a6aabffac930",
    "realesrgan_x4plus": "9e49b67645e4977b",
    "spade_facades": "b1bac3514ed7f318",
    "spade_facades_discriminator": "0daf296c9530124e",
    "stylegan2_256": "4190591f59fca3f3",
    "ugatit_light": "e9b44a989b4cb047",
}
"""Digests of the names and shapes of the weights in the authors' checkpoints, norms resolved."""


def _shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def _digest(shapes: dict[str, tuple[int, ...]]) -> str:
    lines = sorted(f"{key} {list(shape)}" for key, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", GENERATORS)
def test_the_generator_has_the_published_keys(name):
    recipe = load_recipe(FOLDERS / GENERATORS[name].recipe)
    arguments = recipe.source.arguments | GENERATORS[name].arguments
    with torch.device("meta"):
        net = build_generator(replace(recipe.source, arguments=arguments), recipe.folder)
    assert _digest(_shapes(net)) == KEYS[_stem(name)]


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_the_discriminator_has_the_published_keys(name):
    with torch.device("meta"):
        net = DISCRIMINATORS[name]()
    assert _digest(_shapes(net)) == KEYS[name]


@pytest.mark.parametrize("name", KEYS)
def test_the_digests_are_those_of_the_stored_keys(shared_checkpoints, name):
    keys = json.loads((shared_checkpoints / f"{name}.json").read_text())["keys"]
    state = {key: torch.empty(spec["shape"], device="meta") for key, spec in keys.items()}
    assert _digest(plain_shapes(state)) == KEYS[name]


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, n) for name, sizes in OTHER_SIZES.items() for n in range(len(sizes))],
)
def test_other_sizes_are_read_off_the_weights(tmp_path, name, number):
    recipe = load_recipe(FOLDERS / name)
    arguments = OTHER_SIZES[name][number]
    torch.manual_seed(1)
    net = build_generator(replace(recipe.source, arguments=arguments), recipe.folder).eval()
    state = {f"module.{key}": value for key, value in net.state_dict().items()}
    torch.save({"net": state, "epoch": 5}, tmp_path / "w.pth")
    code = replace(recipe.source, weights=str(tmp_path / "w.pth"))
    module, shapes = load_module(code, recipe.folder, recipe.input_shapes, name)
    image = torch.rand(next(iter(shapes.values())))
    with torch.no_grad():
        torch.testing.assert_close(module(image), net(image))


def test_statistics_of_old_instance_norms_are_left_out_with_a_notice(tmp_path, caplog):
    """As PyTorch before 0.4 wrote them, and as CycleGAN's code of 2018 did."""
    caplog.set_level(logging.INFO, "decig")
    recipe = load_recipe(FOLDERS / "cyclegan-resnet9")
    net = build_generator(
        replace(recipe.source, arguments={"width": 4, "blocks": 1}), recipe.folder
    )
    state = net.state_dict()
    for place, width in ((2, 4), (5, 8)):
        state[f"model.{place}.running_mean"] = torch.ones(width)
        state[f"model.{place}.running_var"] = torch.full((width,), 9.0)
        state[f"model.{place}.num_batches_tracked"] = torch.tensor(7)
    torch.save(state, tmp_path / "w.pth")
    code = replace(recipe.source, weights=str(tmp_path / "w.pth"))
    module, _ = load_module(code, recipe.folder, recipe.input_shapes, "net")
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(module(x), net.eval()(x))
    assert "w.pth: left out 4 running statistics (model.2.running_mean, " in caplog.text


def test_a_discriminator_is_no_generator(tmp_path):
    torch.save(PatchDiscriminator(3, 4, norm="instance").state_dict(), tmp_path / "D.pth")
    recipe = load_recipe(FOLDERS / "cyclegan-resnet9")
    code = replace(recipe.source, weights=str(tmp_path / "D.pth"))
    with pytest.raises(
        BadInputError, match=r"D\.pth: this is a discriminator \(PatchGAN, .*G\.pth$"
    ):
        load_module(code, recipe.folder, recipe.input_shapes, "net")


def test_stylegan2_maps_noise_to_the_stored_style(shared_checkpoints, tmp_path):
    stored = _save(shared_checkpoints, "stylegan2_256", "g_ema", tmp_path / "w.pt")
    recipe = load_recipe(FOLDERS / "stylegan2-decoder" / "from-noise.toml")
    code = replace(recipe.source, weights=str(tmp_path / "w.pt"))
    module, shapes = load_module(code, recipe.folder, recipe.input_shapes, "net")
    z, wanted = (torch.from_numpy(stored[name]) for name in ("z", "z_style"))
    assert list(z.shape) == shapes["input"]
    with torch.no_grad():
        _require_same(module.style(z).numpy(), stored["z_style"])
        painted = module(z)
        module.takes = "w"
        _require_same(module(wanted).numpy(), painted.numpy())


def test_noise_takes_the_way_over_the_mapping_network():
    recipe = load_recipe(FOLDERS / "stylegan2-decoder" / "from-noise.toml")
    arguments = {"widths": [4, 4], "style": 8, "mapping": 2}
    net = build_generator(
        replace(recipe.source, arguments=arguments | {"takes": "z"}), recipe.folder
    )
    code = torch.randn(1, 8)
    with torch.no_grad():
        painted, style = net(code), net.style(code)
        torch.testing.assert_close(net(2 * code), painted)  # noise is normalised first
        net.takes = "w"
        torch.testing.assert_close(net(style), painted)


@pytest.mark.parametrize("name", OTHER_SIZES)
def test_weights_of_another_net_are_refused_in_one_line(tmp_path, name):
    torch.save({f"module.{n}.weight": torch.zeros(3, 3) for n in range(9)}, tmp_path / "w.pth")
    recipe = load_recipe(FOLDERS / name)
    code = replace(recipe.source, weights=str(tmp_path / "w.pth"))
    with pytest.raises(
        BadInputError, match=rf"w\.pth: does not fit {name}: .*missing .*9 not"
    ) as e:
        load_module(code, recipe.folder, recipe.input_shapes, name)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("upsampling", ["normal", "more", "most"])
def test_gaugan_starts_from_a_map_made_as_small_as_it_doubles(upsampling):
    recipe = load_recipe(FOLDERS / "gaugan-spade")
    arguments = {"labels": 3, "width": 2, "hidden": 2, "upsampling": upsampling}
    net = build_generator(replace(recipe.source, arguments=arguments), recipe.folder).eval()
    started = []
    net.fc.register_forward_hook(lambda _, __, output: started.append(output.shape[2:]))
    with torch.no_grad():
        assert net(torch.rand(1, 3, 128, 256)).shape == (1, 3, 128, 256)
    halvings = {"normal": 5, "more": 6, "most": 7}[upsampling]
    assert started == [(128 >> halvings, 256 >> halvings)]


def test_every_recipe_of_the_folders_can_be_read():
    recipes = [load_recipe(path) for path in sorted(FOLDERS.glob("*/*.toml"))]
    assert len(recipes) > len(list(FOLDERS.glob("*/recipe.toml")))
    for recipe in recipes:
        with torch.device("meta"):
            build_generator(recipe.source, recipe.folder)
