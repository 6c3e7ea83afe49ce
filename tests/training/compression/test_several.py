"""Several targets in one call: what is shared is done once, and what is done is not done again."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from decig.errors import BadInputError, DecigError, TargetMissedError
from decig.repair.scores import Importance
from decig.training.compression import several
from decig.training.compression.frontier import FILE
from decig.training.compression.job import Job
from decig.training.compression.planner import Goal
from decig.training.config import Config
from decig.training.data.pool import TeacherPool
from decig.training.loop.schedule import Budget
from decig.training.runs.run import hold
from tests.training.killed import kill_in, require_going_on
from tests.training.small import Asked, quiet, small, with_settings
from tests.training.tiny import tiny_generator

FEW = {"plans": 8, "population": 5, "menu": 2, "scored": 2}
OWN = {"crop": 32, "batch": 2, "held_out": 2, "repair_crops": 4, "precision": "fp32"}


def ask(folder: Path, method: str = "decig", **changes: Any) -> Asked:
    asked = small(folder, tiny_generator(size=48, width=24), photos=8)
    settings = OWN | (FEW if method == "supernet" else {})
    config = with_settings(Config.read(None, method), **settings)
    return asked.but(config=config, budget=Budget(steps=8)).but(**changes)


def call(asked: Asked, **speedups: float) -> several.Several:
    target = asked.goal.target
    goals = {
        name: Goal(target, target.as_it_is_ms / times, asked.goal.budget)
        for name, times in (speedups or {"1.5x": 1.5, "3x": 3.0}).items()
    }
    return several.Several(asked.teacher, asked.folders, goals, asked.config)


def run(asked: Asked, progress: Any = quiet, resume: bool = False) -> dict[str, Any]:
    found = several.compress(call(asked), asked.output_dir, resume=resume, progress=progress)
    assert found is not None
    return found


def test_every_target_is_a_run_of_its_own_and_what_is_shared_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: Counter[str] = Counter()
    make, score = TeacherPool._make, Importance.__init__

    def made(pool: TeacherPool, number: int) -> Any:
        done[f"picture {number}"] += 1
        return make(pool, number)

    def scored(*args: Any, **more: Any) -> None:
        done["scored"] += 1
        score(*args, **more)

    monkeypatch.setattr(TeacherPool, "_make", made)
    monkeypatch.setattr(Importance, "__init__", scored)
    asked = ask(tmp_path)
    found = run(asked)
    assert done.pop("scored") == 1
    assert set(done.values()) == {1} and len(done) == 3  # steps 0, 3 and 6 of both students
    folder = asked.output_dir
    assert json.loads((folder / FILE).read_text()) == json.loads(json.dumps(found))
    assert [each["target"] for each in found["targets"]] == ["1.5x", "3x"]
    slow, fast = found["targets"]
    assert fast["macs"] < slow["macs"] < found["original"]["macs"]
    assert fast["params"] < slow["params"] and fast["file_bytes"] < slow["file_bytes"]
    assert slow["speedup"] == pytest.approx(1.5, rel=0.2) and fast["speedup"] >= 3
    for each in found["targets"]:
        report = json.loads((folder / each["target"] / "report.json").read_text())
        assert report["ssim"] == each["ssim"]
        assert report["macs"] == {"before": found["original"]["macs"], "after": each["macs"]}
        assert (folder / each["target"] / "profile.json").is_file()
    assert not (folder / "shared" / "state").exists() and not (folder / "state").exists()


def test_a_target_of_several_is_compressed_to_as_it_would_be_alone(tmp_path: Path) -> None:
    asked = ask(tmp_path)
    run(asked)
    ms = asked.goal.target.as_it_is_ms
    for name, times in (("1.5x", 1.5), ("3x", 3.0)):
        alone = asked.but(target_ms=ms / times, output_dir=tmp_path / f"alone-{name}")
        alone.compress()
        one, other = (
            (place / "student.onnx").read_bytes()
            for place in (alone.output_dir, asked.output_dir / name)
        )
        assert one == other


@pytest.mark.usefixtures("saving_always")
@pytest.mark.parametrize(
    ("method", "step", "state"),
    [
        ("decig", "3x: distil", "3x/state/stage2.pt"),
        ("supernet", "1.5x: supernet", "shared/state/supernet.pt"),
        ("supernet", "3x: search", None),
    ],
)
def test_a_killed_call_goes_on_with_the_target_that_was_running(
    tmp_path: Path, method: str, step: str, state: str | None
) -> None:
    whole = ask(tmp_path, method)
    run(whole)
    broken = whole.but(output_dir=tmp_path / "broken")
    with pytest.raises(RuntimeError, match="killed"):
        run(broken, kill_in(step))
    begun: set[str] = set()
    again = partial(run, broken, lambda name, *_: begun.add(name), resume=True)
    if state is None:
        again()
    else:
        require_going_on(again, broken.output_dir / state)
    if step.startswith("3x"):
        assert not any(name.startswith("1.5x: ") for name in begun - {"1.5x: read images"})
    for name in ("1.5x", "3x"):
        files = [(each.output_dir / name / "student.onnx") for each in (whole, broken)]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_target_that_fails_does_not_keep_others_from_being_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, run_steps = ask(tmp_path), several.run_steps

    def fail(job: Job, steps: Any) -> Any:
        if job.run.path.name == "1.5x":
            raise TargetMissedError("too slow")
        return run_steps(job, steps)

    with monkeypatch.context() as patch:
        patch.setattr(several, "run_steps", fail)
        said = r"^1 of 2 targets failed: 1\.5x: too slow; done: \S+3x$"
        with pytest.raises(TargetMissedError, match=said):
            run(asked)
    found = json.loads((asked.output_dir / FILE).read_text())
    assert [each["target"] for each in found["targets"]] == ["3x"]
    begun: set[str] = set()
    again = run(asked, lambda name, *_: begun.add(name), resume=True)
    assert "1.5x: distil" in begun and "3x: distil" not in begun
    assert [each["target"] for each in again["targets"]] == ["1.5x", "3x"]


def test_errors_of_all_targets_are_one() -> None:
    missed, broken = TargetMissedError("2x: slow"), DecigError("4x: broken")
    for failed, kind in (([missed, missed], TargetMissedError), ([missed, broken], DecigError)):
        error = several._all_of(failed, [Path("run/8x")])
        assert type(error) is kind
        assert str(error) == f"2 of 3 targets failed: {failed[0]}; {failed[1]}; done: run/8x"
        error = several._all_of(failed, [])
        assert str(error) == f"2 of 2 targets failed: {failed[0]}; {failed[1]}"


def test_one_supernet_serves_all_targets(tmp_path: Path) -> None:
    asked = ask(tmp_path, "supernet")
    told: Counter[str] = Counter()
    run(asked, lambda name, *_: told.update([name]))
    assert {name for name in told if name.endswith("supernet")} == {"1.5x: supernet"}
    shared = asked.output_dir / "shared"
    band = json.loads((shared / "band.json").read_text())
    assert len(band["planned"]) == 2
    for name in band["narrowest"]:
        slow, fast = (plan[name] for plan in band["planned"])
        assert band["narrowest"][name] <= min(slow, fast)
    for name in ("1.5x", "3x"):
        report = json.loads((asked.output_dir / name / "report.json").read_text())
        assert report["supernet"]["steps"] == 4  # half of the budget, once
        assert report["steps"] == 4
        assert not (asked.output_dir / name / "supernet.onnx").exists()


def test_a_target_out_of_reach_is_named_before_anything_is_scored(tmp_path: Path) -> None:
    asked, told = ask(tmp_path), []
    with pytest.raises(TargetMissedError, match=r"^100000x: a target of .* is out of reach"):
        several.compress(
            call(asked, **{"2x": 2, "100000x": 1e5}),
            asked.output_dir,
            progress=lambda name, *_: told.append(name),
        )
    assert told == [] and not asked.output_dir.exists()


def test_the_folder_of_another_call_is_refused(tmp_path: Path) -> None:
    asked = ask(tmp_path, budget=Budget(steps=1))
    run(asked)
    with pytest.raises(BadInputError, match="holds a run already"):
        run(asked)
    with pytest.raises(BadInputError, match="holds a run already"):
        asked.compress()
    with pytest.raises(BadInputError, match="has another target_list"):
        several.compress(
            call(asked, **{"1.5x": 1.5, "4x": 4.0}), asked.output_dir, resume=True, progress=quiet
        )
    record = json.loads((asked.output_dir / "targets.json").read_text())
    assert list(record["target_list"]) == ["1.5x", "3x"] and record["targets"] is None
    with pytest.raises(BadInputError, match="another number of targets"):
        asked.but(resume=True).compress()
    with hold(asked.output_dir) as take:
        take()
        with pytest.raises(BadInputError, match="another process is at work"):
            run(asked, resume=True)


def test_a_preview_plans_for_every_target_and_writes_nothing(tmp_path: Path) -> None:
    asked = ask(tmp_path)
    found = several.preview(call(asked))["targets"]
    assert found["1.5x"]["predicted_latency_ms"] > found["3x"]["predicted_latency_ms"]
    assert sum(found["1.5x"]["widths"].values()) > sum(found["3x"]["widths"].values())
    assert not asked.output_dir.exists()
