"""Patterns of real generators: exported, cut in half exactly, trained, and written back."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from decig.graph.channels import analyse
from decig.graph.model import Model, load_model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.source.recipe import Code
from decig.training.pytorch.load import load_pytorch
from decig.training.trainable.module import build_module, takes_batches, write_back
from decig.training.trainable.parity import require_parity
from tests.graph.tiny import random_feeds, worst_difference
from tests.training.onnx_cases import assert_close, run_ort
from tests.training.patterns import PATTERNS, SHAPES, STYLED

HERE = Path(__file__).parent


@pytest.fixture(scope="module", params=PATTERNS)
def exported(request: pytest.FixtureRequest) -> tuple[str, Model]:
    name = request.param
    shapes = STYLED if name == "AdaIN" else SHAPES
    return name, load_pytorch(Code(f"patterns.py:{name}"), HERE, shapes, name)


def half(model: Model) -> tuple:
    """The graph with half the channels of every group, what was cut, and the plan."""
    channels = analyse(model.proto)
    widths = uniform_widths(channels, 0.5)
    plan = plan_from_widths(channels, widths, magnitude_scores(model.proto, channels), model.sha256)
    return slice_graph(model.proto, channels, plan), channels, plan


def test_half_of_the_channels_go_exactly(exported: tuple[str, Model]) -> None:
    _, model = exported
    sliced, channels, plan = half(model)
    assert worst_difference(model.proto, channels, plan) < 1e-4
    left = {group.name: group.reason for group in channels.groups if not group.prunable}
    # The picture stays; and a mask of two groups of channels knows these two apart.
    assert all(why in ("graph output output", "a single channel") for why in left.values()), left
    stem = next(t for t in model.proto.graph.initializer if t.name == "stem.weight")
    (cut,) = (t for t in sliced.graph.initializer if t.name == "stem.weight")
    assert cut.dims[0] <= 0.625 * stem.dims[0]


def test_what_is_left_trains_and_travels_back(exported: tuple[str, Model]) -> None:
    _, model = exported
    sliced, _, _ = half(model)
    feeds = random_feeds(sliced)
    module = build_module(sliced).eval()
    require_parity(module, sliced, feeds)
    inputs = [torch.from_numpy(array) for array in feeds.values()]
    target = torch.from_numpy(run_ort(model.proto, *feeds.values())[0])
    optimiser = torch.optim.Adam(module.parameters(), 1e-3)
    losses = []
    for _ in range(5):
        loss = torch.nn.functional.mse_loss(module(*inputs)[0], target)
        optimiser.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with torch.no_grad():
        after = module(*inputs)[0].numpy()
    assert_close(run_ort(write_back(module, sliced), *feeds.values())[0], after, 1e-4)


def test_images_of_a_batch_are_painted_as_each_alone(exported: tuple[str, Model]) -> None:
    _, model = exported
    module = build_module(model.proto).eval()
    assert takes_batches(module)
    several = [random_feeds(model.proto, seed) for seed in range(3)]
    batch = [torch.from_numpy(np.concatenate([f[n] for f in several])) for n in several[0]]
    with torch.no_grad():
        found = module(*batch)[0].numpy()
    alone = [run_ort(model.proto, *feeds.values())[0] for feeds in several]
    assert_close(found, np.concatenate(alone), 1e-4)


def test_indices_of_the_older_exporter_are_cut_too(tmp_path: Path) -> None:
    """TorchScript's exporter names every element that is written."""
    torch.manual_seed(0)
    net = PATTERNS["InPlace"]().eval()
    file = tmp_path / "older.onnx"
    image = torch.randn(1, 3, 16, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (image,), str(file), dynamo=False, opset_version=17)
    model = load_model(file)
    assert "ScatterND" in {node.op_type for node in model.proto.graph.node}
    sliced, channels, plan = half(model)
    assert worst_difference(model.proto, channels, plan) < 1e-4
    assert {g.channels for g in channels.prunable} == {4, 12}
    feeds = random_feeds(sliced)
    require_parity(build_module(sliced), sliced, feeds)
