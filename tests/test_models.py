"""The generators of models/: from PyTorch code to a graph, cut in half, trained, and back."""

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from decig.data.feeds import Inputs
from decig.deploy.cutter import Cutter
from decig.deploy.verify import TOLERANCE
from decig.device.plan.wanted import Wanted as Asked
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import Model, load_model, save_model
from decig.source.recipe import Recipe, load_recipe
from decig.source.source import Source
from decig.training.originals.condensing_goal import Wanted
from decig.training.originals.original import train
from decig.training.pytorch.generator import build_generator
from decig.training.pytorch.load import load_pytorch
from decig.training.trainable.module import build_module, write_back
from tests.training.small import work_table

FOLDERS = Path(__file__).parents[1] / "models"
pytestmark = pytest.mark.train


@dataclass(frozen=True)
class Small:
    """A generator made small enough for a test, and what a half of it must be.

    Attributes:
        arguments: of its class, in place of the recipe's.
        macs: largest share of the multiply-accumulates that half of every group may leave: a
            quarter of what lies inside, half of the stem, the head and what is depthwise.
        params: of the full size, in millions, as its paper or its authors' code has it.
        shapes: of its inputs, in place of the recipe's.
        joined: group whose channels stay because they are added to the input picture.
    """

    arguments: dict[str, Any]
    macs: float
    params: float
    shapes: dict[str, list[int]] = field(default_factory=lambda: {"input": [1, 3, 64, 64]})
    joined: str = ""


SMALL = {
    "animegan-v2": Small({"width": 8, "blocks": 2}, 0.27, 2.144),
    "attention-resnet": Small({"width": 8, "blocks": 2, "attend_after": 1}, 0.32, 7.951),
    "cut-resnet9": Small({"width": 8, "blocks": 2}, 0.36, 11.378),
    "cyclegan-resnet9": Small({"width": 8, "blocks": 2}, 0.36, 11.378),
    "facades-resunet": Small({"widths": [8, 12, 16], "bottleneck_blocks": 1}, 0.28, 2.620),
    "gaugan-spade": Small(
        {"labels": 5, "width": 8, "hidden": 16}, 0.30, 92.329, {"input": [1, 5, 64, 64]}
    ),
    "mobile-resnet9": Small({"width": 8, "blocks": 2}, 0.41, 1.987),
    "pix2pix-unet256": Small({"width": 8, "levels": 6}, 0.30, 54.414),
    "realesrgan-compact": Small({"width": 8, "blocks": 2}, 0.5, 0.621, joined="body.6"),
    "realesrgan-rrdb": Small(
        {"width": 8, "growth": 8, "blocks": 2}, 0.5, 16.698, {"input": [1, 3, 16, 16]}
    ),
    "stylegan2-decoder": Small(
        {"widths": [16, 16, 8], "style": 12}, 0.29, 27.933, {"style": [1, 12]}
    ),
    "ugatit-light": Small({"width": 8, "blocks": 2}, 0.31, 10.590),
}


def _recipe(name: str) -> Recipe:
    return load_recipe(FOLDERS / name)


@pytest.fixture(scope="module", params=SMALL)
def small(request) -> tuple[Source, Small]:
    """A small model with initial weights. `load_pytorch` compares it with the module."""
    wanted, recipe = SMALL[request.param], _recipe(request.param)
    code = replace(recipe.source, arguments=wanted.arguments)
    return _source(recipe, load_pytorch(code, recipe.folder, wanted.shapes, "small")), wanted


def _source(recipe: Recipe, model: Model) -> Source:
    return Source(model, recipe.pixels.fields(), model.sha256, feeds=recipe.feeds)


def test_every_folder_is_tested():
    assert {path.parent.name for path in FOLDERS.glob("*/recipe.toml")} == SMALL.keys()


@pytest.mark.parametrize("name", SMALL)
def test_full_size_is_the_published_one(name):
    recipe = _recipe(name)
    with torch.device("meta"):
        module = build_generator(recipe.source, recipe.folder)
    count = sum(parameter.numel() for parameter in module.parameters())
    assert count / 1e6 == pytest.approx(SMALL[name].params, abs=5e-4)


def test_only_ends_are_frozen(small):
    channels = analyse(small[0].model.proto)
    frozen = {g.name: g.reason for g in channels.groups if not g.prunable}
    if small[1].joined:
        assert frozen.pop(small[1].joined).startswith("Add ")
    assert all(r.startswith(("graph input", "graph output")) for r in frozen.values()), frozen


@pytest.mark.parametrize("name", SMALL)
def test_the_recipe_says_what_feeds_every_input(name):
    recipe = _recipe(name)
    infos = [
        helper.make_tensor_value_info(input_name, TensorProto.FLOAT, shape)
        for input_name, shape in recipe.input_shapes.items()
    ]
    proto = helper.make_model(helper.make_graph([], name, infos, []))
    inputs = Inputs.of(proto, recipe.pixels, recipe.feeds)
    assert (inputs.image is None) == (name == "stylegan2-decoder")
    if inputs.image is not None:
        recipe.pixels.require_input(inputs.image.shape[1])


def test_half_of_every_group_is_exact(small):
    _require_half(*small)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_half_at_full_size(name):
    recipe = _recipe(name)
    model = load_pytorch(recipe.source, recipe.folder, recipe.input_shapes, name)
    _require_half(_source(recipe, model), SMALL[name])


def _require_half(source: Source, wanted: Small) -> None:
    """Cut half of every group and compare with the oracle, shared statistics included."""
    cutter = Cutter(source)
    cut = cutter.cut(cutter.keep(0.5, align=1), verify=True)
    assert cut.after.macs <= wanted.macs * cut.before.macs
    assert cut.max_abs_diff <= TOLERANCE


def test_half_of_it_trains_and_travels_back(small, tmp_path):
    source, wanted = small
    cutter = Cutter(source)
    sliced = cutter.cut(cutter.keep(0.5, align=1), verify=False).proto
    module = build_module(sliced).eval()
    torch.manual_seed(0)
    inputs = [torch.rand(shape) for shape in wanted.shapes.values()]
    with torch.no_grad():
        target = build_module(source.model.proto).eval()(*inputs)[0]
    optimiser = torch.optim.Adam(module.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        loss = (module(*inputs)[0] - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        gradients = {name: p.grad for name, p in module.named_parameters()}
        assert all(g is not None and g.isfinite().all() for g in gradients.values())
        assert [n for n, g in gradients.items() if g.ndim > 1 and not g.any()] == []
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    save_model(write_back(module, sliced), tmp_path / "trained.onnx")
    trained = load_model(tmp_path / "trained.onnx").proto
    feeds = {name.name: x.numpy() for name, x in zip(trained.graph.input, inputs, strict=True)}
    found = Device.of().open(trained).run(None, feeds)[0]
    with torch.no_grad():
        expected = module(*inputs)[0].numpy()
    assert np.abs(found - expected).max() <= TOLERANCE * np.ptp(expected)


@pytest.mark.parametrize("name", [name for name in SMALL if _recipe(name).train])
def test_the_recipe_trains(name, tmp_path):
    """On its own layout and palette, two steps of its first stage."""
    written = train(_short(name, tmp_path), tmp_path / "run", data=tmp_path / "data")
    assert load_model(written).proto.graph.input[0].name == "input"
    assert _written(tmp_path / "run") == _generators(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SMALL if _recipe(name).train])
def test_the_recipe_is_condensed(name, tmp_path, caplog):
    """By the table of its untrained code, one step for each stage."""
    short = _short(name, tmp_path)
    table = work_table(load_pytorch(short.source, short.folder, short.input_shapes, name))
    table = replace(table, device=replace(table.device, cpu="another"))
    wanted = Wanted(table, Asked("speedup", 1.5), force=True)
    train(short, tmp_path / "run", data=tmp_path / "data", wanted=wanted)
    left = {"attention-resnet": ["layers.13.f"]}  # of queries and keys; a product reads those
    said = [line.rpartition(": ")[2] for line in caplog.messages if "not condensed in" in line]
    assert said == left.get(name, [])
    assert _written(tmp_path / "run") == _generators(name)
    for file in _generators(name):
        assert count(load_model(tmp_path / "run" / file).proto).macs < sum(
            node.macs for node in table.nodes
        )


def _generators(name):
    """Files that a training of a recipe writes."""
    back = {"generator_back.onnx"} if _recipe(name).train.get("task") == "unpaired" else set()
    return {"generator.onnx"} | back


def _written(run):
    return {file.name for file in run.glob("*.onnx")}


def _short(name, folder):
    """A recipe in small, for two steps; its data are written into `folder/data`."""
    recipe, wanted = _recipe(name), SMALL[name]
    train_table = recipe.train
    if train_table.get("task") == "unpaired":
        write_sides(folder / "data")
    else:
        write_pairs(folder / "data", recipe.pixels.labels.palette)
    stage = {"crop": 64} | train_table.get("stages", [{}])[0] | {"crop": 64, "steps": 2}
    labels, arguments, shapes = recipe.pixels.labels, wanted.arguments, wanted.shapes
    if labels is not None and labels.one_hot:  # as many as the palette has
        arguments = arguments | {"labels": labels.count}
        shapes = {"input": [1, labels.count, 64, 64]}
    return replace(
        recipe,
        source=replace(recipe.source, arguments=arguments),
        input_shapes=shapes,
        train=train_table | {"stages": [stage], "discriminator_width": 4},
    )


def test_nets_without_an_input_picture_are_trained_by_no_task(tmp_path):
    for name in ("recipe.toml", "from-noise.toml"):
        recipe = load_recipe(FOLDERS / "stylegan2-decoder" / name)
        with pytest.raises(BadInputError, match=r"whose input is no picture: \w+ is \[1, 512\]"):
            train(recipe, tmp_path / "run", data=tmp_path)
    assert not (tmp_path / "run").exists()


def test_gaugan_has_the_spectral_norms_of_its_authors():
    """In the two or three convolutions of its seven blocks, four of which change the width."""
    recipe = _recipe("gaugan-spade")
    with torch.device("meta"):
        generator = build_generator(recipe.source, recipe.folder)
    names = [name for name, part in generator.named_modules() if isinstance(part, torch.nn.Conv2d)]
    chosen = [n for n in names if any(fnmatchcase(n, p) for p in recipe.train["spectral_norm"])]
    assert len(chosen) == 2 * 7 + 4
    assert not [name for name in chosen if "norm" in name or name in ("stem", "head")]


def write_sides(folder: Path) -> None:
    """Write two sets of noise that do not belong together."""
    rng = np.random.default_rng(0)
    for name in ("trainA", "trainB", "testA", "testB"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (64, 80, 3), np.uint8)).save(folder / name / "a.png")


def write_pairs(folder: Path, palette: tuple[tuple[int, ...], ...]) -> None:
    """Write pairs side by side, noise left and blocks of label colours right."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        labels = np.array(palette, np.uint8)[rng.integers(0, len(palette), (4, 4))]
        photo = rng.integers(0, 256, (64, 64, 3), np.uint8)
        pair = np.concatenate([photo, labels.repeat(16, 0).repeat(16, 1)], axis=1)
        Image.fromarray(pair).save(folder / split / "a.png")
