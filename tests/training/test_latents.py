import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings

from decig.device.cost.predict import Predictor
from decig.graph.channels import analyse
from decig.graph.model import input_info, normalise
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.training.latents import LatentModule, LatentScores, Shrinking, first_latents
from decig.training.module import build_module
from tests.graph.random_graphs import RandomGraph, random_graphs
from tests.training.onnx_cases import assert_close, run_ort
from tests.training.small import small
from tests.training.test_module_random import UNKNOWN
from tests.training.tiny import tiny_generator

PROTO = tiny_generator(size=24)
CHANNELS = analyse(PROTO)


FIRST = {"c1": np.linspace(1, 0.2, 8), "c2": np.linspace(0.2, 1, 8)}


def module(embedding: int = 0) -> LatentModule:
    return LatentModule(build_module(PROTO), CHANNELS, FIRST, embedding=embedding)


def image() -> torch.Tensor:
    return torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))


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


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(random_graphs())
def test_random_generators_are_cut_exactly_where_latents_are_zero(graph: RandomGraph) -> None:
    assume(UNKNOWN not in graph.blocks)
    proto = normalise(graph.proto)
    channels = analyse(proto)
    first = {group.name: np.linspace(1, 0.3, group.channels) for group in channels.prunable}
    made, plan = LatentModule(build_module(proto).eval(), channels, first), graph.plan(channels)
    keep = {name: kept for name, kept in plan.keep.items() if name in made.by_group()}
    assume(keep and all(channels.group(name).exact for name in keep))
    for name, latents in made.by_group().items():
        gone = np.setdiff1d(np.arange(len(latents)), keep[name])
        latents[torch.as_tensor(gone)] = 0
    random = np.random.default_rng(graph.seed)
    inputs = [random.standard_normal(v.shape, dtype=np.float32) for v in input_info(proto)]
    with torch.no_grad():
        painted = made(*map(torch.from_numpy, inputs))
    cut = slice_graph(made.graph(proto), channels, Plan("", keep))
    for value, wanted in zip(painted, run_ort(cut, *inputs), strict=True):
        assert_close(value.numpy(), wanted, 1e-4)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder: Path = tmp_path_factory.mktemp("model")
    return small(folder, tiny_generator(size=48, width=16)).goal.target.predictor


@pytest.fixture
def shrinking(predictor: Predictor) -> Shrinking:
    proto = tiny_generator(size=48, width=16)
    channels = analyse(proto)
    made = LatentModule(
        build_module(proto), channels, {n: np.linspace(1, 0.2, 16) for n in ("c1", "c2")}
    )
    shrinking = Shrinking(made, channels, predictor)
    shrinking.module = made  # type: ignore[attr-defined]
    return shrinking


def test_latents_shrink_to_zero_and_stay_there(shrinking: Shrinking) -> None:
    latents = shrinking.module.latents
    latents.data[:16] = torch.linspace(-0.5, 0.9, 16)
    shrinking.module.note_sums()
    shrinking.rate = 0.05
    before = latents.detach().clone()
    shrinking.step()
    assert (latents.abs() <= before.abs()).all() and (latents * before >= 0).all()
    for _ in range(200):
        shrinking.step()
    # A floor of four channels stays in every group: the largest ones, as they are.
    assert shrinking.live() == {"c1": 4, "c2": 4, "c4": 3}  # c4 is the picture
    torch.testing.assert_close(latents[12:16], before[12:16])


def test_a_group_as_a_whole_grows_and_falls_by_the_proximal_step_alone(
    shrinking: Shrinking,
) -> None:
    """What the optimiser does to all latents of a group alike is undone; V can do that."""
    made = shrinking.module
    before = {name: z.clone() for name, z in made.by_group().items()}
    made.by_group()["c1"].mul_(0.3)
    made.by_group()["c2"][3] += 1.0
    changed = made.by_group()["c2"].clone()
    shrinking.step()  # at a rate of 0
    after = made.by_group()
    torch.testing.assert_close(after["c1"], before["c1"])
    assert after["c2"].sum() == pytest.approx(float(before["c2"].sum()))
    torch.testing.assert_close(after["c2"] / after["c2"].sum(), changed / changed.sum())
    shrinking.rate = 0.01
    shrinking.step()
    once = {name: z.clone() for name, z in made.by_group().items()}
    shrinking.rate = 0.0
    shrinking.step()
    for name, z in made.by_group().items():
        assert z.sum() < before[name].sum()
        torch.testing.assert_close(z, once[name])


def test_what_is_least_of_a_group_stays(predictor: Predictor) -> None:
    proto = tiny_generator(size=48, width=16)
    channels = analyse(proto)
    first = {name: np.linspace(1, 0.2, 16) for name in ("c1", "c2")}
    made = LatentModule(build_module(proto), channels, first)
    shrinking = Shrinking(made, channels, predictor, {"c1": 9, "c2": 30})
    shrinking.rate = 0.05
    for _ in range(200):
        shrinking.step()
    assert shrinking.live() == {"c1": 9, "c2": 16, "c4": 3}


def test_channels_that_save_more_time_shrink_faster(shrinking: Shrinking) -> None:
    # c1 makes the residual trunk, which two convolutions write and two read; c2 one each.
    shrinking.rate = 0.01
    before = {name: z.clone() for name, z in shrinking.module.by_group().items()}
    shrinking.step()
    after = shrinking.module.by_group()
    lost = {name: (before[name] - z).max().item() for name, z in after.items()}
    assert lost["c1"] > lost["c2"] > 0


def test_the_rate_is_that_which_reaches_the_wanted_latency(
    shrinking: Shrinking, predictor: Predictor
) -> None:
    for share in (0.8, 0.5):
        predicted = predictor.predict_ms(shrinking.live())
        wanted = share * predicted
        shrinking.steer(predicted, wanted)
        for _ in range(10):
            shrinking.step()
        assert predictor.predict_ms(shrinking.live()) == pytest.approx(wanted, rel=0.1)
    shrinking.steer(predicted=4.0, wanted=5.0)
    assert shrinking.rate == 0


def test_scores_order_channels_by_their_latents() -> None:
    latents = {"c1": np.array([0.5, -1.0, 0.0, 0.1, 0.0, 0.2, 0.9, 0.0])}
    losses = latents["c1"] ** 4  # latents began as losses to the power of a quarter
    scores = LatentScores(latents, CHANNELS)
    assert list(scores.order["c1"]) == [1, 6, 0, 5, 3, 2, 4, 7]
    assert scores.loss["c1"][0] == pytest.approx(sum(losses))
    assert scores.loss["c1"][1] == pytest.approx(sum(losses) - 1)
    assert list(scores.loss["c1"][5:]) == [0, 0, 0, 0]
    assert list(scores.loss["c2"]) == list(range(8, -1, -1))  # no latents: every channel matters
