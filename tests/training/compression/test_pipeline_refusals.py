"""What a compression refuses, and how early it does so."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.errors import BadInputError, TargetMissedError
from decig.training import methods
from decig.training.loop.schedule import Budget
from decig.training.runs.run import hold
from tests.device.bench import FakeBench
from tests.training.conftest import Make
from tests.training.small import small
from tests.training.tiny import tiny_generator


def test_without_a_target_and_stage_one_nothing_starts(asked: Make) -> None:
    told: list[str] = []
    made = asked(target_ms=None, settings={"condense": 0.0})
    with pytest.raises(BadInputError, match="give the latency to reach"):
        made.compress(lambda step, *_: told.append(step))
    with pytest.raises(BadInputError, match="give the latency to reach"):
        made.preview()
    assert told == [] and not made.output_dir.exists()


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


def test_another_graphs_table_a_taken_folder_and_too_few_images_are_refused(
    asked: Make, table: CostTable, tmp_path: Path, photos: Path
) -> None:
    other = replace(table, model=replace(table.model, sha256="0" * 64))
    with pytest.raises(BadInputError, match="made for another model"):
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
        ({"settings": {"crop": 8}}, r"pictures of 8x8 .* distil\.structure, which needs 11: raise"),
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
    monkeypatch.setattr("decig.training.compression.teacher.build_module", refuse)
    with pytest.raises(BadInputError, match="node n"):
        asked().compress(lambda step, *_: told.append(step))
    assert told == []


def test_shares_that_are_not_the_whole_budget_are_a_mistake_of_the_method(
    asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, step = asked(), methods.Step("a", ("a",), lambda _: None, 0.5)
    monkeypatch.setattr(methods, "find", lambda _: SimpleNamespace(steps=lambda _: [step]))
    with pytest.raises(ValueError, match=r"take 0\.5 of the budget"):
        made.compress()
    assert not made.output_dir.exists()


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
