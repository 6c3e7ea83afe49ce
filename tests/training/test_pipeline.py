import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from decig.data.pixels import PixelFormat
from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.errors import BadInputError, TargetMissedError
from decig.graph.model import Model, load_model, shapes
from decig.graph.plan import FLOOR, Plan
from decig.quality.metrics import Likeness
from decig.training import methods
from decig.training.config import Config
from decig.training.examples import Folders
from decig.training.planner import Goal
from decig.training.run import hold
from decig.training.schedule import Budget
from decig.training.teacher import Teacher
from tests.device.bench import FakeBench
from tests.training.small import Asked, small, with_settings, work_table
from tests.training.test_events import read_events
from tests.training.tiny import tiny_generator

STEPS = 12
CONTRACT = {
    "predicted_latency_ms",
    "measured_latency_ms",
    "ssim",
    "method",
    "steps",
    "training_seconds",
}
"""Keys of the report that other programs rely on."""
Make = Callable[..., Asked]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(tiny_generator(size=64, width=32), path)
    return load_model(path)


@pytest.fixture(scope="module")
def table(model: Model) -> CostTable:
    return work_table(model)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index in range(10):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 10, 3), np.uint8))
        coarse.resize((80, 72), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def asked(model: Model, table: CostTable, photos: Path, tmp_path: Path) -> Make:
    rewritten = replace(table, model=replace(table.model, rewrites=("wide_head",)))
    settings = {"crop": 32, "batch": 2, "held_out": 2, "repair_crops": 4, "condense": 0.5}

    def make(**changes: Any) -> Asked:
        return Asked(
            Teacher(model, PixelFormat((0.0, 1.0), (0.0, 1.0))),
            Folders(photos),
            Goal(Target(rewritten), table.latency_us.median_ms / 2, Budget(steps=STEPS)),
            with_settings(Config.read(None), **settings),
            tmp_path / "run",
        ).but(**changes)

    return make


def weights(path: Path) -> dict[str, bytes]:
    return {t.name: t.raw_data for t in onnx.load(path).graph.initializer}


def test_leaves_a_slim_student_a_plan_in_the_teachers_channels_and_figures(
    asked: Make, model: Model
) -> None:
    made = asked()
    figures = made.compress()
    run = made.output_dir
    student = load_model(run / "student.onnx").proto
    plan = Plan.load(run / "plan.json")
    assert plan.model_sha256 == model.sha256
    before, after = shapes(model.proto), shapes(student)
    for group, kept in plan.keep.items():
        assert after[f"{group}.weight"][0] == len(kept) <= before[f"{group}.weight"][0]
    assert sum(map(len, plan.keep.values())) < 64
    assert figures["predicted_latency_ms"] <= made.goal.target_ms
    assert -1 <= figures["ssim_before_distilling"] <= figures["ssim"] <= 1
    report = json.loads((run / "report.json").read_text())
    assert report == figures
    assert figures.keys() >= CONTRACT
    assert figures["method"] == "decig" and figures["measured_latency_ms"] is None
    assert CostTable.load(run / "profile.json").to_dict() == made.goal.target.table.to_dict()
    assert report["rewrites"] == ["wide_head"]
    assert not (run / "state").exists()


def test_training_that_makes_nothing_better_leaves_the_repaired_graph(
    asked: Make, caplog: pytest.LogCaptureFixture
) -> None:
    made = asked(settings={"learning_rate": 0.5, "condense": 0.0})
    figures = made.compress()
    run = made.output_dir
    assert figures["ssim"] == figures["ssim_before_distilling"]
    assert weights(run / "student.onnx") == weights(run / "start.onnx")
    assert "the repaired graph is kept" in caplog.text


@pytest.mark.parametrize("stage", ["condense", "distil"])
def test_a_killed_run_ends_with_the_student_of_an_unbroken_one(
    asked: Make, stage: str, tmp_path: Path
) -> None:
    def kill(step: str, share: float, _: Any) -> None:
        if step == stage and share >= 0.4:
            raise RuntimeError("killed")

    whole = asked(budget=Budget(steps=50))
    whole.compress()
    broken = whole.but(output_dir=tmp_path / "broken")
    with pytest.raises(RuntimeError, match="killed"):
        broken.compress(kill)
    assert not (broken.output_dir / "student.onnx").exists()
    broken.but(resume=True).compress()
    name = "student.onnx"
    assert weights(broken.output_dir / name) == weights(whole.output_dir / name)


def test_every_stage_of_training_has_its_log(asked: Make) -> None:
    made = asked(tensorboard=True, settings={"condense": 0.5})
    made.compress()
    logs = made.output_dir / "tensorboard"
    assert {folder.name for folder in logs.iterdir()} == {"stage1", "stage2"}
    for folder in logs.iterdir():
        assert {"loss/student", "learning_rate/student"} <= read_events(folder).keys()


def test_targets_and_features_take_part(asked: Make, photos: Path) -> None:
    made = asked(targets=photos, settings={"features": 0.1, "condense": 0.0})
    made.compress()
    assert not (made.output_dir / "condensed.onnx").exists()
    assert (made.output_dir / "student.onnx").exists()


def test_without_a_target_stage_one_and_the_hinge_decide_down_to_a_floor(
    asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decig.training.planner.hinge_of", lambda _: 1)
    made = asked(target_ms=None, budget=Budget(steps=4))
    figures = made.compress()
    assert figures["widths"] == {"c1": FLOOR, "c2": FLOOR}
    assert figures["target_latency_ms"] is None


def test_without_a_target_and_stage_one_nothing_starts(asked: Make) -> None:
    told: list[str] = []
    made = asked(target_ms=None, settings={"condense": 0.0})
    with pytest.raises(BadInputError, match="give the latency to reach"):
        made.compress(lambda step, *_: told.append(step))
    with pytest.raises(BadInputError, match="give the latency to reach"):
        made.preview()
    assert told == [] and not made.output_dir.exists()


def test_the_plan_is_tightened_until_the_device_meets_the_target(asked: Make) -> None:
    seen: list[int] = []

    def slow(proto: onnx.ModelProto) -> float:
        seen.append(sum(shapes(proto)[f"{name}.weight"][0] for name in ("c1", "c2")))
        return 2.5 * made.goal.target_ms if len(seen) == 1 else made.goal.target_ms

    made = asked(settings={"condense": 0.0}, budget=Budget(steps=1))
    made = made.but(target=Target(made.goal.target.table, FakeBench(slow)))
    made.compress()
    # The second plan takes longer than predicted, so it is measured again before it is accepted.
    assert seen[1] < seen[0] and set(seen[1:]) == {seen[1]}


def test_pictures_that_are_too_small_to_judge_are_refused_first(
    tmp_path: Path,
) -> None:
    settings = {"crop": 10, "structure": 0.0, "condense": 0.0}
    made = small(tmp_path, tiny_generator(size=10, width=16), settings=settings)
    told: list[str] = []
    with pytest.raises(BadInputError, match="its pictures of 10x10 pixels are too small to be jud"):
        made.compress(lambda step, *_: told.append(step))
    assert told == []


def test_a_latency_far_out_of_reach_is_refused_before_channels_are_scored(asked: Make) -> None:
    made, told = asked(target_ms=1e-6), []
    bench = FakeBench(lambda _: pytest.fail("something was measured"))
    for target in (made.goal.target, Target(made.goal.target.table, bench)):
        with pytest.raises(TargetMissedError, match="out of reach: with every group at its narr"):
            made.but(target=target).compress(lambda step, *_: told.append(step))
    assert told == []


def test_an_unreachable_target_says_the_fastest_and_writes_nothing(asked: Make) -> None:
    made = asked(target_ms=1e-6)
    with pytest.raises(TargetMissedError, match="out of reach"):
        made.compress()
    assert not made.output_dir.exists()


def test_a_preview_writes_nothing(asked: Make) -> None:
    made = asked()
    found = made.preview()
    assert found["predicted_latency_ms"] <= made.goal.target_ms
    assert found["widths"].keys() == found["channels"].keys() == {"c1", "c2"}
    assert not made.output_dir.exists()


def test_another_graphs_table_a_taken_folder_and_too_few_images_are_refused(
    asked: Make, table: CostTable, tmp_path: Path, photos: Path
) -> None:
    other = replace(table, model=replace(table.model, sha256="0" * 64))
    with pytest.raises(BadInputError):
        asked(target=Target(other)).compress()
    short = asked(budget=Budget(steps=1), settings={"condense": 0.0})
    short.compress()
    with pytest.raises(BadInputError, match="holds a run already"):
        short.compress()
    with pytest.raises(BadInputError, match="another"):
        short.but(target_ms=1.0, resume=True).compress()
    lone = tmp_path / "lone"
    lone.mkdir()
    (photos / "0.png").rename(lone / "0.png")
    with pytest.raises(BadInputError, match="at least two"):
        asked(images=lone, output_dir=tmp_path / "other").compress()
    (lone / "0.png").rename(photos / "0.png")


def test_bad_input_is_found_before_channels_are_scored(asked: Make, tmp_path: Path) -> None:
    told: list[str] = []
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "run.json").write_text("{}")
    cases = [
        ({"output_dir": taken}, "holds a run already"),
        ({"settings": {"crop": 8}}, r"crops of 8x8 .* distil\.structure, which needs 11: raise"),
    ]
    for changes, message in cases:
        with pytest.raises(BadInputError, match=message):
            asked(**changes).compress(lambda step, *_: told.append(step))
    assert told == []
    settings = {"crop": 8, "structure": 0.0, "condense": 0.0}
    asked(settings=settings, budget=Budget(steps=1)).compress()


def test_a_graph_that_cannot_be_trained_is_refused_before_images_are_read(
    asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decig.data.images.read_image", lambda _: pytest.fail("an image was read"))

    def refuse(*_: Any) -> None:
        raise BadInputError("node n: operator Odd cannot be trained")

    told: list[str] = []
    monkeypatch.setattr("decig.training.teacher.build_module", refuse)
    with pytest.raises(BadInputError, match="node n"):
        asked().compress(lambda step, *_: told.append(step))
    assert told == []


def test_ctrl_c_keeps_the_state(asked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = asked(settings={"condense": 0.0})

    def press(step: str, share: float, _: Any) -> None:
        if step == "distil" and share >= 0.4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        made.compress(press)
    assert made.but(resume=True).compress()["steps"] == STEPS


def test_only_steps_whose_files_are_missing_run(
    asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, Budget]] = []
    made = asked()

    def steps(job: Any) -> list[methods.Step]:
        def leave(name: str, budget: Budget) -> None:
            done.append((name, budget))
            shutil.copy(job.teacher.model.path, job.run.file(name))

        names = ("a", "b", "student.onnx")
        return [
            methods.Step(name, (name,), partial(leave, name), share)
            for name, share in zip(names, (0.25, 0.75, 0.0), strict=True)
        ]

    method = SimpleNamespace(steps=steps, Settings=None)
    monkeypatch.setattr(methods, "find", lambda _: method)
    made.compress()
    parts = [Budget(steps=3), Budget(steps=9), Budget(steps=0)]
    assert done == list(zip(("a", "b", "student.onnx"), parts, strict=True))
    done.clear()
    (made.output_dir / "b").unlink()
    made.but(resume=True).compress()
    assert [name for name, _ in done] == ["b"]


def test_shares_that_are_not_the_whole_budget_are_a_mistake_of_the_method(
    asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, step = asked(), methods.Step("a", ("a",), lambda _: None, 0.5)
    monkeypatch.setattr(methods, "find", lambda _: SimpleNamespace(steps=lambda _: [step]))
    with pytest.raises(ValueError, match=r"take 0\.5 of the budget"):
        made.compress()
    assert not made.output_dir.exists()


def test_warnings_and_the_roofline_reach_the_report(asked: Make) -> None:
    made = asked(settings={"condense": 0.0}, budget=Budget(steps=1))
    bench = FakeBench(lambda _: made.goal.target_ms)
    made = made.but(target=Target(made.goal.target.table, bench, ("the machine was busy",)))
    assert made.preview()["warnings"] == ["the machine was busy"]
    figures = made.compress()
    assert figures["warnings"] == ["the machine was busy"]
    assert "roofline" not in figures  # the device's limits are not known
    assert figures["measured_latency_ms"] == pytest.approx(made.goal.target_ms)


def test_training_ends_where_nothing_improves(asked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a run that was stopped ends where one that was not does."""
    seen: list[int] = []

    def stands_still(_: Any) -> Likeness:
        seen.append(1)
        return Likeness(0.5, 20.0)

    monkeypatch.setattr("decig.training.judge.Judge.likeness", lambda _, proto: stands_still(proto))
    ended = 31
    made = asked(settings={"condense": 0.0}, budget=Budget(steps=40))
    figures = made.compress()
    assert figures["steps"] == ended  # the step behind three quarters of the budget finds it out
    assert figures["ended_early"] == "nothing improved over 25% of the budget"

    def kill(step: str, share: float, _: Any) -> None:
        if step == "distil" and share >= 0.4:
            raise RuntimeError("killed")

    broken = made.but(output_dir=made.output_dir.with_name("broken"))
    with pytest.raises(RuntimeError, match="killed"):
        broken.compress(kill)
    assert broken.but(resume=True).compress()["steps"] == ended
    name = "student.onnx"
    assert weights(broken.output_dir / name) == weights(made.output_dir / name)
    off = made.but(output_dir=made.output_dir.with_name("off"), settings={"patience": 0.0})
    figures = off.compress()
    assert figures["steps"] == 40 and figures["ended_early"] is None


def test_with_real_targets_likeness_to_the_teacher_ends_nothing(
    asked: Make, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decig.training.judge.Judge.likeness", lambda *_: Likeness(1.0, 100.0))
    figures = asked(targets=photos, settings={"condense": 0.0}).compress()
    assert figures["steps"] == STEPS and figures["ended_early"] is None


def test_a_start_that_cannot_be_told_from_the_teacher_is_not_trained(
    asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decig.training.judge.Judge.likeness", lambda *_: Likeness(0.99998, 60.0))
    figures = asked(settings={"condense": 0.0}).compress()
    assert figures["steps"] == 0
    assert figures["ended_early"] == "the pictures cannot be told from the original's"


def test_two_processes_do_not_write_one_run(asked: Make) -> None:
    made = asked(settings={"condense": 0.0}, budget=Budget(steps=2))
    made.compress()
    with hold(made.output_dir) as take:
        take()
        with pytest.raises(BadInputError, match="run: another process is at work in this run"):
            made.but(resume=True).compress()
    made.but(resume=True).compress()


def test_a_run_that_begins_while_another_plans_is_refused(asked: Make) -> None:
    made = asked(settings={"condense": 0.0}, budget=Budget(steps=1))

    def another(step: str, *_: Any) -> None:
        if step == "plan" and not made.output_dir.exists():
            made.compress()

    with pytest.raises(BadInputError, match="holds a run already"):
        made.compress(another)
