import copy
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import assume

from decig.graph.channels import ChannelMap
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.training.narrowing.latents import LatentModule, LatentScores, first_latents
from decig.training.trainable.module import build_module
from tests.graph.random_graphs import RandomGraph
from tests.training.onnx_cases import assert_close, run_ort
from tests.training.random_nets import CHANNELS, PROTO, for_random_generators, image, noise_for

FIRST = {"c1": np.linspace(1, 0.2, 8), "c2": np.linspace(0.2, 1, 8)}


def module(embedding: int = 0) -> LatentModule:
    return LatentModule(build_module(PROTO), CHANNELS, FIRST, embedding=embedding)


@pytest.mark.parametrize("embedding", [0, 8])
def test_it_begins_as_the_teacher(embedding: int) -> None:
    with torch.no_grad():
        assert_close(
            module(embedding)(image())[0].numpy(), run_ort(PROTO, image().numpy())[0], 1e-5
        )


def test_latents_begin_with_what_is_lost_without_their_channels() -> None:
    scores = SimpleNamespace(
        order={"a": np.array([2, 0, 1]), "b": np.array([0, 1])},
        loss={"a": np.array([17.0, 1.0, 1e-4, 0.0]), "b": np.array([2.0, 1.0, 0.0])},
    )
    found = first_latents(scores, {"a": [1, 2], "b": [0, 1]})
    # Of 16, 1 and 0.0001 in the order of a: its channel 2 has 16, channel 1 has 0.0001.
    assert found["a"] == pytest.approx([0.05, 1.0], rel=1e-3)
    made = module()
    for name, latents in made.by_group().items():
        assert latents.mean() == pytest.approx(1)
        assert latents.numpy() * made.strength[name] == pytest.approx(FIRST[name])
    assert found["b"] == pytest.approx([0.5, 0.5])


def test_a_weight_is_multiplied_by_the_latents_of_what_it_makes_and_reads() -> None:
    made = module()
    for name, latents in made.by_group().items():
        latents.copy_(torch.linspace(1, 2, len(latents)) if name == "c1" else torch.tensor(3.0))
    weights = made.weights()
    inside = 3 * torch.linspace(1, 2, 8)[None, :, None, None]
    torch.testing.assert_close(weights["c2.weight"], made.net.get_parameter("c2_weight") * inside)
    back = torch.linspace(1, 2, 8)[:, None, None, None] * 3
    torch.testing.assert_close(weights["c3.weight"], made.net.get_parameter("c3_weight") * back)
    assert not any(name.endswith("bias") for name in weights)


@pytest.mark.parametrize("embedding", [0, 8])
def test_channels_whose_latents_are_zero_are_cut_without_changing_a_pixel(embedding: int) -> None:
    made = module(embedding)
    made.by_group()["c1"][[0, 3, 4]] = 0
    made.by_group()["c2"][1:7] = 0
    graph = made.graph(PROTO)
    keep = {"c1": [1, 2, 5, 6, 7], "c2": [0, 7]}
    sliced = slice_graph(graph, CHANNELS, Plan("", keep))
    with torch.no_grad():
        painted = made(image())[0].numpy()
    for proto in (graph, sliced):
        assert_close(run_ort(proto, image().numpy())[0], painted, 1e-5)


@pytest.mark.parametrize("embedding", [0, 8])
def test_writing_the_graph_leaves_the_module_as_it_was(embedding: int) -> None:
    made = module(embedding)
    made.by_group()["c1"].mul_(0.5)
    before = copy.deepcopy(made.state_dict())
    made.graph(PROTO)
    for name, tensor in made.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_both_weights_and_latents_are_trained() -> None:
    made = module()
    made(image())[0].square().sum().backward()
    assert made.latents.grad is not None and made.latents.grad.count_nonzero() == 16
    assert made.net.get_parameter("c2_weight").grad.count_nonzero() > 0


@for_random_generators(25)
def test_random_generators_are_cut_exactly_where_latents_are_zero(
    graph: RandomGraph, proto: onnx.ModelProto, channels: ChannelMap
) -> None:
    first = {group.name: np.linspace(1, 0.3, group.channels) for group in channels.prunable}
    made, plan = LatentModule(build_module(proto).eval(), channels, first), graph.plan(channels)
    keep = {name: kept for name, kept in plan.keep.items() if name in made.by_group()}
    assume(keep and all(channels.group(name).exact for name in keep))
    for name, latents in made.by_group().items():
        gone = np.setdiff1d(np.arange(len(latents)), keep[name])
        latents[torch.as_tensor(gone)] = 0
    inputs = noise_for(proto, graph.seed)
    with torch.no_grad():
        painted = made(*map(torch.from_numpy, inputs))
    cut = slice_graph(made.graph(proto), channels, Plan("", keep))
    for value, wanted in zip(painted, run_ort(cut, *inputs), strict=True):
        assert_close(value.numpy(), wanted, 1e-4)


def test_a_mean_settles_where_latents_have_reached_zero() -> None:
    made, mean = module(), module()
    made.by_group()["c1"][2:5] = 0
    mean.by_group()["c1"][1] = 0.25
    before = {name: z.clone() for name, z in mean.by_group().items()}
    made.settle(mean)
    after = mean.by_group()
    assert after["c1"][2:5].count_nonzero() == 0
    before["c1"][2:5] = 0
    for name, z in before.items():
        torch.testing.assert_close(after[name], z, rtol=0, atol=0)
        strength = np.mean(FIRST[name])
        np.testing.assert_allclose(mean.scores()[name], z.numpy() * strength, rtol=1e-6)


def test_scores_order_channels_by_their_latents() -> None:
    latents = {"c1": np.array([0.5, -1.0, 0.0, 0.1, 0.0, 0.2, 0.9, 0.0])}
    losses = latents["c1"] ** 4  # latents began as losses to the power of a quarter
    scores = LatentScores(latents, CHANNELS)
    assert list(scores.order["c1"]) == [1, 6, 0, 5, 3, 2, 4, 7]
    assert scores.loss["c1"][0] == pytest.approx(sum(losses))
    assert scores.loss["c1"][1] == pytest.approx(sum(losses) - 1)
    assert list(scores.loss["c1"][5:]) == [0, 0, 0, 0]
    assert list(scores.loss["c2"]) == list(range(8, -1, -1))  # no latents: every channel matters
