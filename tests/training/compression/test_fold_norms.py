import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from decig.data.pixels import PixelFormat
from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.errors import DecigError
from decig.graph.model import load_model
from decig.graph.norm_folding import all_norms, foldable_norms
from decig.training.compression.fold_norms import _on_processor, with_joined_norms
from decig.training.compression.judge import Judge
from decig.training.compression.planner import Goal
from decig.training.compression.teacher import Teacher
from decig.training.config import Config
from decig.training.data.examples import Folders
from decig.training.data.pool import Batch, TeacherPool
from decig.training.loop.schedule import Budget
from tests.device.bench import FakeBench
from tests.graph.rewrite.small import Net
from tests.training.killed import kill_in, require_going_on
from tests.training.small import Asked, with_settings, work_table
from tests.training.tiny import tiny_generator


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fold")
    onnx.save(tiny_generator(size=48, width=16), folder / "tiny.onnx")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    for index in range(8):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 10, 3), np.uint8))
        coarse.resize((60, 54), Image.Resampling.BICUBIC).save(folder / f"photos/{index}.png")
    work_table(load_model(folder / "tiny.onnx")).save(folder / "table.json")
    return folder


@pytest.fixture
def asked(place: Path, tmp_path: Path) -> Callable[..., Asked]:
    table = CostTable.load(place / "table.json")
    settings = {"crop": 32, "batch": 2, "held_out": 2, "repair_crops": 4, "fold": 0.5}

    def make(**changes: Any) -> Asked:
        return Asked(
            Teacher(load_model(place / "tiny.onnx"), PixelFormat((0.0, 1.0), (0.0, 1.0))),
            Folders(place / "photos"),
            Goal(Target(table), 0.8 * table.as_it_is_ms, Budget(steps=18), fold_norms=True),
            with_settings(Config.read(None), **settings),
            tmp_path / "run",
        ).but(**changes)

    return make


def student(made: Asked) -> onnx.ModelProto:
    return load_model(made.output_dir / "student.onnx").proto


def weights(proto: onnx.ModelProto) -> dict[str, bytes]:
    return {tensor.name: tensor.raw_data for tensor in proto.graph.initializer}


def test_norms_fold_where_the_tolerance_lets_them(asked: Callable[..., Asked]) -> None:
    made = asked(settings={"fold_tolerance": 1.0})
    bench = FakeBench(lambda proto: len(proto.graph.node))
    made = made.but(target=Target(made.goal.target.table, bench), target_ms=11.5)  # all take 11
    figures = made.compress()
    assert all_norms(student(made)) == []
    assert figures["norms_folded"].keys() == {"n1", "n2", "n3"}
    assert figures["norms_put_back"] == {}
    assert figures["latency_ms"]["with_norms"] - figures["latency_ms"]["folded"] == 3
    assert figures["steps"] == 9 and figures["folding_steps"] == 9
    assert figures["ssim"] == list(figures["norms_folded"].values())[-1]
    assert json.loads((made.output_dir / "report.json").read_text()) == figures
    assert not (made.output_dir / "state").exists()


def test_norms_come_back_where_the_pictures_need_them(asked: Callable[..., Asked]) -> None:
    made = asked(settings={"fold_tolerance": -1.0})
    figures = made.compress()
    distilled = load_model(made.output_dir / "distilled.onnx").proto
    assert weights(student(made)) == weights(distilled)
    assert foldable_norms(student(made)) == ["n1", "n2", "n3"]
    assert figures["norms_put_back"].keys() == {"n1", "n2", "n3"}
    assert figures["norms_folded"] == {}
    assert figures["ssim"] == figures["ssim_before_folding"]


def test_every_norm_is_judged_by_itself(asked: Callable[..., Asked]) -> None:
    """The first to go changes least; a tolerance between the rounds' losses parts them."""
    whole = asked(settings={"fold_tolerance": 1.0})
    found = whole.compress()
    ssim = [found["ssim_before_folding"], *found["norms_folded"].values()]
    lost = [max(ssim[: k + 1]) - ssim[k] for k in range(1, 4)]
    assert max(lost) > min(lost)
    tolerance = (max(lost) + min(lost)) / 2
    some = asked(
        settings={"fold_tolerance": tolerance}, output_dir=whole.output_dir.with_name("some")
    )
    figures = some.compress()
    assert len(figures["norms_folded"]) + len(figures["norms_put_back"]) == 3
    assert figures["norms_folded"] and figures["norms_put_back"]
    assert set(all_norms(student(some))) == figures["norms_put_back"].keys()
    best = max([figures["ssim_before_folding"], *figures["norms_folded"].values()])
    assert figures["ssim"] >= best - tolerance


def test_photos_smaller_than_the_model_are_enlarged(
    asked: Callable[..., Asked], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 44, 3), np.uint8)).save(tmp_path / f"{index}.png")
    made = asked(images=tmp_path, budget=Budget(steps=6))
    figures = made.compress()
    assert figures["norms_folded"].keys() | figures["norms_put_back"].keys() == {"n1", "n2", "n3"}


@pytest.mark.usefixtures("saving_always")
def test_a_run_killed_twice_ends_with_the_student_of_an_unbroken_one(
    asked: Callable[..., Asked], place: Path, tmp_path: Path
) -> None:
    targets = {"targets": place / "photos", "settings": {"features": 0.1}}
    whole = asked(**targets)
    figures = whole.compress()
    broken = whole.but(output_dir=tmp_path / "broken")
    # Of three steps a round, before the second one has left anything, and within it.
    for share in (1 / 3, 0.5):
        with pytest.raises(RuntimeError, match="killed"):
            broken.compress(kill_in("fold norms", share))
        assert not (broken.output_dir / "student.onnx").exists()
        broken = broken.but(resume=True)
    require_going_on(broken.compress, broken.output_dir / "state/fold-1.pt")
    again = json.loads((broken.output_dir / "report.json").read_text())
    assert weights(student(broken)) == weights(student(whole))
    timed = ("training_seconds", "folding_seconds")
    assert {k: v for k, v in again.items() if k not in timed} == {
        k: v for k, v in figures.items() if k not in timed
    }


def test_rounds_go_on_in_the_pool_where_the_last_one_ended(
    asked: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch from before would empty the pool, and the teacher would paint it anew."""
    taken: dict[int, tuple[TeacherPool, list[int]]] = {}
    batch = TeacherPool.batch

    def watched(pool: TeacherPool, step: int) -> Batch:
        taken.setdefault(id(pool), (pool, []))[1].append(step)
        return batch(pool, step)

    monkeypatch.setattr(TeacherPool, "batch", watched)
    asked(settings={"accumulate": 2, "fold_tolerance": 1.0}).compress()
    for _, steps in taken.values():
        assert steps == sorted(steps) and set(steps) == set(range(18))
    assert len(taken) == 2


@pytest.mark.parametrize("unpaired", [False, True])
def test_likeness_to_the_teacher_undoes_a_round_only_where_it_is_all_that_counts(
    asked: Callable[..., Asked], place: Path, monkeypatch: pytest.MonkeyPatch, unpaired: bool
) -> None:
    told = iter(np.linspace(1.0, 0.0, 100).tolist())  # less at every look
    monkeypatch.setattr(Judge, "ssim", lambda *_: next(told))
    real = {"unpaired": place / "photos"} if unpaired else {}
    figures = asked(settings={"fold_tolerance": 1.0}, **real).compress()
    found = list(figures["norms_folded"].values())
    looks = np.linspace(1.0, 0.0, 100)
    # After the start, two looks a round: before its training and after it.
    assert found == pytest.approx(looks[[2, 4, 6] if unpaired else [1, 3, 5]])


def test_a_damaged_state_is_named(asked: Callable[..., Asked]) -> None:
    made = asked()
    with pytest.raises(RuntimeError, match="killed"):
        made.compress(kill_in("fold norms", 0.5))
    (made.output_dir / "state" / "fold.pt").write_bytes(b"no state")
    with pytest.raises(DecigError, match=r"fold\.pt: not the state of this run"):
        made.but(resume=True).compress()


def test_norms_that_are_spelled_out_are_seen() -> None:
    """Behind a convolution, as exporters write them: (x - mean) / deviation, scaled and shifted."""
    net = Net(1, 3, 8, 6)
    value = net.node("Conv", "x", net.weights(3, 3, 1, 1))
    axes = net.constant([2, 3], np.int64)
    difference = net.node("Sub", value, net.node("ReduceMean", value, axes))
    squares = net.node("Mul", difference, difference)
    variance = net.node("Add", net.node("ReduceMean", squares, axes), net.constant(1e-3))
    normed = net.node("Div", difference, net.node("Sqrt", variance), name="norm")
    scaled = net.node("Mul", normed, net.weights(3, 1, 1))
    proto = net.finish(net.node("Add", scaled, net.weights(3, 1, 1)))
    assert foldable_norms(proto) == all_norms(proto) == []
    assert foldable_norms(with_joined_norms(proto)) == ["norm"]


def test_norms_of_a_real_net_that_are_spelled_out_are_seen(shared_suite: Path) -> None:
    proto = load_model(shared_suite / "fns_candy_nc16.onnx").proto
    assert foldable_norms(proto) == []
    joined = with_joined_norms(proto)
    assert len(foldable_norms(joined)) == len(all_norms(joined)) == 15


def test_the_state_of_a_discriminator_is_copied_out_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict()
    state = {"nets": {"judge": {"weight": torch.ones(2)}}, "optimiser": adam}
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: tensor.tolist())
    found = _on_processor(state)
    assert found == {"nets": {"judge": {"weight": [1.0, 1.0]}}, "optimiser": adam}
