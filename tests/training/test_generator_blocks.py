"""Every block of real generators: PyTorch to ONNX, half its channels, a training step, ONNX.

The blocks are those of the benchmark, so that its table and these tests speak of the same nets.
"""

import numpy as np
import onnx
import pytest
import torch
from generator_blocks import BLOCKS, Block, macs, write_onnx

from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import Model, initializers, load_model, save_model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.training.trainable.module import build_module, parameter_names, write_back
from tests.graph.tiny import worst_difference
from tests.training.onnx_cases import assert_close, run_ort

SHARED_STATISTICS = {"residual, GroupNorm", "multi-head attention", "AdaLIN"}
# Used twice in the net and thus two parameters of the module, which learn apart.
UNTIED = {"block.rho", "block.weight"}


@pytest.fixture(scope="module", params=BLOCKS)
def exported(request, tmp_path_factory) -> tuple[str, Block, torch.nn.Module, Model]:
    """A block's name, the block, its net and the graph."""
    block = BLOCKS[request.param]
    path = tmp_path_factory.mktemp("block") / "block.onnx"
    net = block.net()
    write_onnx(net, block.inputs(), path)
    return request.param, block, net, load_model(path)


def feeds(model: Model, inputs: tuple[torch.Tensor, ...]) -> dict[str, np.ndarray]:
    names = [value.name for value in model.proto.graph.input]
    return {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}


def half(model: Model) -> onnx.ModelProto:
    channels = analyse(model.proto)
    scores = magnitude_scores(model.proto, channels)
    plan = plan_from_widths(channels, uniform_widths(channels, 0.5), scores, model.sha256)
    return slice_graph(model.proto, channels, plan)


def test_half_of_the_channels_go_exactly(exported):
    name, block, net, model = exported
    channels = analyse(model.proto)
    assert all(group.exact for group in channels.prunable) == (name not in SHARED_STATISTICS)
    widths = uniform_widths(channels, 0.5)
    plan = plan_from_widths(channels, widths, magnitude_scores(model.proto, channels), model.sha256)
    share = count(half(model)).macs / count(model.proto).macs
    possible = macs(block.net(16), block.inputs()) / macs(net, block.inputs())
    assert share <= 1.02 * possible
    assert worst_difference(model.proto, channels, plan, feeds(model, block.inputs(1))) < 1e-4


def loss_of(picture: torch.Tensor) -> torch.Tensor:
    """Weigh pixels differently, so that no gradient cancels out."""
    return (picture * torch.linspace(-1, 1, picture.numel()).view(picture.shape)).sum()


def test_gradients_agree_with_the_source(exported):
    _, block, net, model = exported
    module = build_module(model.proto).eval()
    ours, theirs = block.inputs(1), block.inputs(1)
    for tensor in (*ours, *theirs):
        tensor.requires_grad_()
    found, wanted = module(*ours)[0], net(*theirs)
    assert_close(found.detach().numpy(), wanted.detach().numpy())
    loss_of(found).backward()
    loss_of(wanted).backward()
    for left, right in zip(ours, theirs, strict=True):
        assert_close(left.grad.numpy(), right.grad.numpy(), 1e-4)
    names, source = parameter_names(module), dict(net.named_parameters())
    compared = 0
    for attribute, parameter in module.named_parameters():
        twin = source.get(names[attribute])
        if twin is not None and names[attribute] not in UNTIED:
            assert_close(parameter.grad.numpy(), twin.grad.numpy(), 1e-4)
            compared += 1
    assert compared >= 4, "the stem and the head at least"
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_what_is_left_learns_and_travels_back(exported, tmp_path):
    _, block, net, model = exported
    sliced = half(model)
    module = build_module(sliced).eval()
    inputs = block.inputs(1)
    target = net(*inputs).detach()
    optimiser = torch.optim.SGD(module.parameters(), 1e-3)
    before = torch.nn.functional.mse_loss(module(*inputs)[0], target)
    before.backward()
    optimiser.step()
    with torch.no_grad():
        after = module(*inputs)[0]
    assert torch.nn.functional.mse_loss(after, target) < before
    trained = write_back(module, sliced)
    save_model(trained, tmp_path / "trained.onnx")
    again = load_model(tmp_path / "trained.onnx").proto
    assert_close(run_ort(again, *feeds(model, inputs).values())[0], after.numpy(), 1e-4)
    old, new = initializers(sliced), initializers(again)
    moved = {name for name in new if name in old and not np.array_equal(old[name], new[name])}
    assert {"stem.weight", "head.weight"} <= moved
