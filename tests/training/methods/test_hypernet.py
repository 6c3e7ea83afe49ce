import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from decig.device.cost.macs import MacsPredictor
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import Model, initializers, load_model
from decig.graph.plan import FLOOR, Plan
from decig.training.config import Config
from decig.training.loop.schedule import Budget
from decig.training.methods.hypernet import LatentSlim, even_widths, steps
from decig.training.trainable.slim import Slim
from tests.training.killed import kill_in, require_going_on
from tests.training.methods.test_decig import Told, widths
from tests.training.random_nets import image
from tests.training.small import Asked, small, with_settings
from tests.training.tiny import tiny_generator

SETTINGS = {"crop": 32, "batch": 2, "held_out": 2, "repair_crops": 4, "precision": "fp32"}


def ask(folder: Path, count: int = 100, **changes: Any) -> Asked:
    config = with_settings(Config.read(None, "hypernet"), **SETTINGS, shrink_from=0.0)
    return small(folder).but(config=config, budget=Budget(steps=count)).but(**changes)


def do(asked: Asked, *names: str, told: Told | None = None) -> Any:
    job = asked.job(None if told is None else lambda *news: told.append(news))
    found = {step.name: step for step in steps(job)}
    for name in names:
        found[name].run(*job.goal.budget.parts([found[name].share]))
        assert job.run.done(*found[name].makes)
    return job


def test_latents_shrink_until_the_latency_is_the_wanted_one(tmp_path: Path) -> None:
    told: Told = []
    job = do(ask(tmp_path, 250), "slice to begin with", "shrink", told=told)
    latents = json.loads(job.run.file("latents.json").read_text())
    live = {name: int(np.count_nonzero(z)) for name, z in latents.items()}
    assert live.keys() == {"c1", "c2"} and sum(live.values()) < 32
    predicted = [figures["predicted_ms"] for step, _, figures in told if step == "shrink"]
    assert len(predicted) == 10  # of 100 steps
    assert predicted[-1] < 1.25 * job.goal.target_ms < predicted[0]


def test_what_is_cut_are_the_channels_whose_latents_are_smallest(tmp_path: Path) -> None:
    job = do(ask(tmp_path), "slice to begin with", "shrink", "slice")
    latents = json.loads(job.run.file("latents.json").read_text())
    plan, start = Plan.load(job.run.file("plan.json")), job.run.load_graph("start.onnx").proto
    assert widths(start) == {name: len(kept) for name, kept in plan.keep.items()}
    for name, kept in plan.keep.items():
        size = np.abs(latents[name])
        assert size[kept].min() >= np.delete(size, kept).max(initial=0)
    assert job.planner.predict_ms(widths(start)) <= job.goal.target_ms * 1.0001


def test_it_begins_with_the_teacher_or_with_a_cut(tmp_path: Path) -> None:
    whole = do(ask(tmp_path), "slice to begin with")
    assert widths(whole.run.load_graph("hypernet-start.onnx").proto) == {"c1": 16, "c2": 16}
    (tmp_path / "cut").mkdir()
    cut = do(ask(tmp_path / "cut", settings={"shrink_from": 1.5}), "slice to begin with")
    found = widths(cut.run.load_graph("hypernet-start.onnx").proto)
    assert cut.goal.target_ms < cut.planner.predict_ms(found) <= 1.5 * cut.goal.target_ms


def test_the_steps_share_the_budget(tmp_path: Path) -> None:
    found = steps(ask(tmp_path, settings={"shrink": 0.3}).job())
    assert [step.share for step in found] == [0, 0.3, 0, pytest.approx(0.7)]
    assert found[-1].makes == ("student.onnx",)


def test_a_latency_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="give the latency to reach"):
        ask(tmp_path, target_ms=None).job()


@pytest.fixture
def model(tmp_path: Path) -> Model:
    onnx.save(tiny_generator(size=24), tmp_path / "model.onnx")
    return load_model(tmp_path / "model.onnx")


@pytest.mark.parametrize("embedding", [0, 2])
def test_fresh_latents_change_nothing_and_follow_from_the_seed(
    model: Model, embedding: int
) -> None:
    channels = analyse(model.proto)
    made = [LatentSlim(model, channels, embedding, seed).eval() for seed in (3, 3, 4)]
    assert torch.equal(made[0].latent.latents, made[1].latent.latents)
    assert not torch.equal(made[0].latent.latents, made[2].latent.latents)
    assert list(made[0].latent.strength.values()) == [pytest.approx(1)] * 2
    with torch.no_grad():
        wanted = Slim(model).eval()(image())
        for net in made:
            torch.testing.assert_close(net(image()), wanted, rtol=1e-4, atol=1e-5)
    for name, value in initializers(made[2].written()).items():
        np.testing.assert_allclose(value, initializers(model.proto)[name], rtol=1e-4, atol=1e-6)


def test_even_widths_are_the_largest_that_meet_a_target(model: Model) -> None:
    channels = analyse(model.proto)
    predictor = MacsPredictor(model.proto, channels)
    whole = predictor.baseline_ms
    assert even_widths(predictor, channels, whole * 1.01) == channels_of(channels)
    found = even_widths(predictor, channels, whole / 2)
    assert len(set(found.values())) == 1  # both groups have 8 channels
    assert predictor.predict_ms(found) <= whole / 2
    assert predictor.predict_ms({name: width + 1 for name, width in found.items()}) > whole / 2
    assert set(even_widths(predictor, channels, 1e-9).values()) == {FLOOR}


def channels_of(channels: ChannelMap) -> dict[str, int]:
    return {group.name: group.channels for group in channels.prunable}


@pytest.mark.usefixtures("saving_always")
@pytest.mark.parametrize("stage", ["shrink", "distil"])
def test_a_killed_run_ends_with_the_student_of_an_unbroken_one(tmp_path: Path, stage: str) -> None:
    """The rate of shrinking was steered before."""
    whole = ask(tmp_path)
    figures = whole.compress()
    assert figures["hypernet"]["steps"] == 40 and figures["steps"] == 60
    broken = whole.but(output_dir=tmp_path / "broken")
    with pytest.raises(RuntimeError, match="killed"):
        broken.compress(kill_in(stage))
    state = broken.output_dir / "state" / f"{stage}.pt"
    require_going_on(broken.but(resume=True).compress, state, after=10)
    # The student may begin with the teacher's weights: what has shrunk is compared itself.
    for name in ("latents.json", "hypernet.onnx", "student.onnx"):
        same = [(asked.output_dir / name).read_bytes() for asked in (whole, broken)]
        assert same[0] == same[1], name
