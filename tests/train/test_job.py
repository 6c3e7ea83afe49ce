import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from decig.data.crops import fit
from decig.data.inputs import Pictures
from decig.device.cost.predict import Predictor
from decig.device.plan.learn import Learner
from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.errors import BadInputError, TargetMissedError
from decig.graph.channels import analyse
from decig.graph.model import normalise
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.train.job import Job
from decig.train.request import Request
from tests.device.bench import FakeBench
from tests.train.small_request import node_us, quiet, small_request, total_ms
from tests.train.tiny import tiny_generator


def with_input(name: str, *shape: int) -> onnx.ModelProto:
    """The tiny generator, with the mean of another input added to its image."""
    proto = tiny_generator(size=48, width=16)
    nodes = [
        helper.make_node("ReduceMean", [name], [f"{name}.mean"], name=f"{name}.mean", keepdims=0),
        helper.make_node("Add", ["input", f"{name}.mean"], ["both"], name="both"),
    ]
    proto.graph.node[0].input[0] = "both"
    for node in reversed(nodes):
        proto.graph.node.insert(0, node)
    proto.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return normalise(proto)


def code_generator() -> onnx.ModelProto:
    """A generator that paints from a code."""
    proto = tiny_generator(size=48, width=16)
    nodes = [
        helper.make_node("Reshape", ["code", "shape"], ["r"], name="r"),
        helper.make_node("Expand", ["r", "size"], ["input"], name="wide"),
    ]
    for node in reversed(nodes):
        proto.graph.node.insert(0, node)
    for name, numbers in (("shape", [1, 3, 1, 1]), ("size", [1, 3, 48, 48])):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(numbers), name))
    del proto.graph.input[:]
    proto.graph.input.append(helper.make_tensor_value_info("code", TensorProto.FLOAT, [1, 3]))
    return normalise(proto)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def job(folder: Path, proto: onnx.ModelProto | None = None, **changes: Any) -> Job:
    return Job(small_request(folder, proto, **changes), quiet)


def test_images_are_held_out_by_the_seed(folder: Path) -> None:
    splits = []
    for seed in (0, 0, 1):
        made = job(folder, photos=8, settings={"seed": seed, "held_out": 3})
        names = [[e.name for e in part] for part in (made.training, made.validation)]
        assert sorted(names[0] + names[1]) == list("abcdefgh")
        assert len(names[1]) == 1  # a fifth at most
        splits.append(names)
    assert splits[0] == splits[1] != splits[2]
    assert len(job(folder, photos=8, settings={"held_out": 0}).validation) == 1


def test_images_are_fed_as_check_feeds_them(folder: Path) -> None:
    made = job(folder)
    found = dict(zip((e.name for e in made.training), made.feeds(made.training), strict=True))
    request = made.request
    pictures = {p.name: p for p in Pictures(request.images, request.model.proto, request.pixels)}
    for name, feeds in found.items():
        np.testing.assert_allclose(feeds["input"], pictures[name].feeds["input"], atol=0.02)
    example = made.training[0]
    fitted = fit(example.images[0], 48, 48)
    np.testing.assert_array_equal(
        found[example.name]["input"], request.pixels.to_tensor(fitted[None])
    )


def test_what_goes_in_beside_an_image_hangs_on_its_name_and_the_seed(folder: Path) -> None:
    proto = with_input("noise", 1, 7)
    made = job(folder, proto, feeds={"noise": "normal"})
    first, second = made.feeds(made.training[:2])
    assert not np.array_equal(first["noise"], second["noise"])
    again = made.feeds(made.training[1::-1])
    assert np.array_equal(again[1]["noise"], first["noise"])
    assert np.array_equal(again[0]["noise"], second["noise"])
    other = job(folder, proto, feeds={"noise": "normal"}, settings={"seed": 1})
    example = next(e for e in other.training + other.validation if e.name == made.training[0].name)
    assert not np.array_equal(other.feeds([example])[0]["noise"], first["noise"])


def test_a_model_without_an_image_is_fed_by_draws(folder: Path) -> None:
    made = job(folder, code_generator(), images=None, feeds={"code": "normal"})
    assert made.size == (48, 48)
    assert made.crop() is None and made.input_channels == 0
    codes = [feeds["code"] for feeds in made.feeds(made.training)]
    assert len(codes) == 62 and len(np.unique(np.concatenate(codes), axis=0)) == 62
    batch = made.pool(seed=0).batch(0)
    assert batch.source is None and batch.teacher.shape[2:] == (48, 48)


def test_crops_are_no_larger_than_the_model(folder: Path) -> None:
    request = small_request(folder)
    for crop, size in ((32, (32, 32)), (128, (48, 48)), (0, (48, 48))):
        settings = dataclasses.replace(request.settings, crop=crop)
        made = Job(dataclasses.replace(request, settings=settings), quiet)
        assert made.crop() == size
        assert made.crop(whole=True) == (48, 48)


@pytest.mark.parametrize("whole", [False, True])
def test_the_pool_holds_what_the_teacher_paints(folder: Path, whole: bool) -> None:
    made = job(folder, settings={"batch": 5, "crop": 24})
    batch = made.pool(seed=3, whole=whole).batch(0)
    side, count = (48, 1) if whole else (24, 5)  # as few whole ones as cost the same
    assert batch.inputs[0].shape == (count, 3, side, side)
    if whole:
        wanted = Device.of().run_over(
            made.request.model.proto, [{"input": batch.inputs[0].numpy()}]
        )[0]
        np.testing.assert_allclose(batch.teacher.numpy(), wanted, atol=2e-3)


def test_the_plan_keeps_the_best_channels_that_the_latency_allows(folder: Path) -> None:
    made = job(folder)
    widths = {name: len(kept) for name, kept in made.plan.keep.items()}
    assert made.predictor.predict_ms(widths) <= made.request.target_ms
    assert sum(widths.values()) < 32
    for name, kept in made.plan.keep.items():
        assert kept == sorted(made.importance.order[name][: len(kept)].tolist())
    sliced = slice_graph(made.request.model.proto, made.channels, made.plan)
    assert total_ms(sliced) == pytest.approx(made.predictor.predict_ms(widths), rel=0.1)


def on_a_device(request: Request, *rules: Any) -> Request:
    """The same request where the device is here and takes what the rules say."""
    device = Target(request.device.table, FakeBench(*rules))
    return dataclasses.replace(request, device=device)


def test_a_plan_is_measured_where_the_device_is_at_hand(folder: Path) -> None:
    told: list[tuple[str, dict[str, float]]] = []
    request = on_a_device(small_request(folder), total_ms)
    made = Job(request, lambda step, _, figures: told.append((step, figures)))
    sliced = slice_graph(request.model.proto, made.channels, made.plan)
    assert total_ms(sliced) <= request.target_ms
    measured = [figures["measured_ms"] for step, figures in told if step == "plan"]
    assert min(measured) == pytest.approx(total_ms(sliced))


def test_without_a_latency_the_hinge_decides(folder: Path) -> None:
    made = job(folder, target_ms=None)
    assert {name: len(kept) for name, kept in made.plan.keep.items()} == {
        name: len(kept)
        for name, kept in made.plan_for(
            made.request.model.proto, made.channels, made.importance, None
        ).keep.items()
    }
    assert all(1 <= len(kept) <= 16 for kept in made.plan.keep.values())


def test_an_unreachable_latency_is_missed(folder: Path) -> None:
    with pytest.raises(TargetMissedError, match="out of reach"):
        _ = job(folder, target_ms=1e-6).plan


def test_a_condensed_graph_is_planned_in_its_own_channels(folder: Path) -> None:
    made = job(folder)
    keep = {name: list(range(12)) for name in made.channels.widths}
    condensed = slice_graph(made.request.model.proto, made.channels, Plan("", keep))
    channels = analyse(condensed)
    scores = made.score(condensed, channels)
    plan = made.plan_for(condensed, channels, scores, made.request.target_ms)
    assert all(max(kept) < 12 for kept in plan.keep.values())
    widths = {name: len(kept) for name, kept in plan.keep.items()}
    assert made.predictor.predict_ms(widths) <= made.request.target_ms


def test_only_channels_that_a_condensed_graph_has_are_learnt_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[tuple[dict[str, int], float]] = []

    class Noted(Learner):
        def __call__(self, widths: dict[str, int], measured_ms: float) -> Predictor:
            learnt.append((widths, measured_ms))
            return super().__call__(widths, measured_ms)

    monkeypatch.setattr("decig.device.plan.target.Learner", Noted)
    made = Job(on_a_device(small_request(folder), total_ms, node_us), quiet)
    keep = {name: list(range(12)) for name in made.channels.widths}
    condensed = slice_graph(made.request.model.proto, made.channels, Plan("", keep))
    channels = analyse(condensed)
    scores = made.score(condensed, channels)
    made.plan_for(condensed, channels, scores, made.predictor.baseline_ms)
    assert learnt[0] == ({"c1": 12, "c2": 12}, pytest.approx(total_ms(condensed)))


def test_a_groups_run_time_is_that_of_the_nodes_it_runs_through(folder: Path) -> None:
    made = job(folder)
    spent = {node.name: node.latency_us for node in made.request.device.table.nodes}
    found = made.run_time()
    assert found["c2"] == pytest.approx(sum(spent[n] for n in ("c2", "n2", "c3")))
    assert found.keys() == {"c1", "c2"}


def test_what_cannot_be_trained_on_is_refused(folder: Path) -> None:
    with pytest.raises(BadInputError, match="at least two"):
        job(_made(folder / "lone"), photos=1)
    request = small_request(folder)
    taken = request.device.table
    other = dataclasses.replace(taken.model, sha256="0" * 64)
    table = dataclasses.replace(taken, model=other)
    with pytest.raises(BadInputError, match="made for another model"):
        Job(dataclasses.replace(request, device=Target(table)), quiet)
    with pytest.raises(BadInputError, match="give a folder of images"):
        Job(dataclasses.replace(request, images=None), quiet)
    with pytest.raises(BadInputError, match="--targets needs a model that takes images"):
        job(folder, code_generator(), feeds={"code": "normal"}, targets=request.images)
    proto = with_input("map", 1, 1, 48, 48)
    with pytest.raises(BadInputError, match="input map is a map as large as the image"):
        job(folder, proto, feeds={"map": "files"})
