import json
import shutil
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import torch

from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.errors import BadInputError
from decig.graph.model import Model, load_model, shapes
from decig.graph.plan import FLOOR, Plan
from decig.quality.metrics import Likeness
from decig.training import methods
from decig.training.loop.schedule import Budget
from tests.device.bench import FakeBench
from tests.training.conftest import STEPS, Make
from tests.training.killed import kill_in, require_going_on
from tests.training.loop.test_events import read_events

CONTRACT = {
    "predicted_latency_ms",
    "measured_latency_ms",
    "ssim",
    "method",
    "steps",
    "training_seconds",
}
"""Keys of the report that other programs rely on."""


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


@pytest.mark.usefixtures("saving_always")
@pytest.mark.parametrize(
    ("stage", "name", "after"), [("condense", "stage1.pt", 10), ("distil", "stage2.pt", 5)]
)
def test_a_killed_run_ends_with_the_student_of_an_unbroken_one(
    asked: Make, stage: str, name: str, after: int, tmp_path: Path
) -> None:
    """Of stage I, its rate was steered before."""
    whole = asked(budget=Budget(steps=50))
    whole.compress()
    broken = whole.but(output_dir=tmp_path / "broken")
    with pytest.raises(RuntimeError, match="killed"):
        broken.compress(kill_in(stage))
    assert not (broken.output_dir / "student.onnx").exists()
    again, state = broken.but(resume=True), broken.output_dir / "state" / name
    good = state.read_bytes()
    state.write_bytes(b"no state")
    with pytest.raises(BadInputError, match=rf"{name}: not the state of this run"):
        again.compress()
    state.write_bytes(good)
    require_going_on(again.compress, state, after=after)
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
    monkeypatch.setattr("decig.training.narrowing.hinge.find_hinge", lambda _: 1)
    made = asked(target_ms=None, budget=Budget(steps=4))
    figures = made.compress()
    assert figures["widths"] == {"c1": FLOOR, "c2": FLOOR}
    assert figures["target_latency_ms"] is None


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


def test_a_preview_writes_nothing(asked: Make) -> None:
    made = asked()
    found = made.preview()
    assert found["predicted_latency_ms"] <= made.goal.target_ms
    assert found["widths"].keys() == found["channels"].keys() == {"c1", "c2"}
    assert not made.output_dir.exists()


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
    emptied: list[int] = []  # how many steps were done when the GPU's memory was given back
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(len(done)))
    made.compress()
    assert emptied == [1, 2, 3]
    parts = [Budget(steps=3), Budget(steps=9), Budget(steps=0)]
    assert done == list(zip(("a", "b", "student.onnx"), parts, strict=True))
    done.clear()
    for name in ("b", "report.json"):  # with its report, a run is finished
        (made.output_dir / name).unlink()
    made.but(resume=True).compress()
    assert [name for name, _ in done] == ["b"]


def test_warnings_and_the_roofline_reach_the_report(asked: Make) -> None:
    made = asked(settings={"condense": 0.0}, budget=Budget(steps=1))
    bench = FakeBench(lambda _: made.goal.target_ms)
    made = made.but(target=Target(made.goal.target.table, bench, ("the machine was busy",)))
    assert made.preview()["warnings"] == ["the machine was busy"]
    figures = made.compress()
    assert figures["warnings"] == ["the machine was busy"]
    assert "roofline" not in figures  # the device's limits are not known
    assert figures["measured_latency_ms"] == pytest.approx(made.goal.target_ms)


@pytest.mark.usefixtures("saving_always")
def test_training_ends_where_nothing_improves(asked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a run that was stopped ends where one that was not does."""
    seen: list[int] = []

    def stands_still(_: Any) -> Likeness:
        seen.append(1)
        return Likeness(0.5, 20.0)

    monkeypatch.setattr(
        "decig.training.compression.judge.Judge.likeness", lambda _, proto: stands_still(proto)
    )
    ended = 31
    made = asked(settings={"condense": 0.0}, budget=Budget(steps=40))
    figures = made.compress()
    assert figures["steps"] == ended  # the step behind three quarters of the budget finds it out
    assert figures["ended_early"] == "nothing improved over 25% of the budget"

    broken = made.but(output_dir=made.output_dir.with_name("broken"))
    with pytest.raises(RuntimeError, match="killed"):
        broken.compress(kill_in("distil", 0.6))  # the look that nothing improves on was before
    again, name = broken.but(resume=True), "student.onnx"
    require_going_on(again.compress, broken.output_dir / "state/stage2.pt", after=20)
    assert json.loads((broken.output_dir / "report.json").read_text())["steps"] == ended
    assert weights(broken.output_dir / name) == weights(made.output_dir / name)
    off = made.but(output_dir=made.output_dir.with_name("off"), settings={"patience": 0.0})
    figures = off.compress()
    assert figures["steps"] == 40 and figures["ended_early"] is None


def test_with_real_targets_likeness_to_the_teacher_ends_nothing(
    asked: Make, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "decig.training.compression.judge.Judge.likeness", lambda *_: Likeness(1.0, 100.0)
    )
    figures = asked(targets=photos, settings={"condense": 0.0}).compress()
    assert figures["steps"] == STEPS and figures["ended_early"] is None


def test_a_start_that_cannot_be_told_from_the_teacher_is_not_trained(
    asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Likeness, "of", lambda *_: Likeness(0.99998, 60.0))
    figures = asked(settings={"condense": 0.0}).compress()
    assert figures["steps"] == 0
    assert figures["ended_early"] == "the pictures cannot be told from the original's"
