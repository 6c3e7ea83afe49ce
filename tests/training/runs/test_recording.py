import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig import records
from decig.device.plan.compute import MacsTarget
from decig.device.plan.target import Target
from decig.graph.model import normalise
from decig.graph.plan import Plan
from decig.records import Nodes, Pictures, Scores, Search, Session
from decig.report import page
from decig.training.runs.recording import SHOWN, WORST, shown_ranks
from tests.device.bench import FakeBench
from tests.training.small import node_us, small, total_ms
from tests.training.tiny import tiny_generator


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compression whose device is here."""
    asked = small(tmp_path_factory.mktemp("small"), photos=8)
    bench = FakeBench(total_ms, lambda proto: {n: 2 * us for n, us in node_us(proto).items()})
    asked.but(target=Target(asked.goal.target.table, bench)).compress()
    return asked.output_dir


def test_nodes_add_up_to_the_measured_latency(run: Path) -> None:
    found = records.load(run, records.NODES_FILE, Nodes)
    figures = page.Evidence.read(run).figures
    assert found is not None and found.measured
    assert sum(found.after.values()) / 1000 == pytest.approx(figures.measured_latency_ms, rel=1e-3)
    assert sum(found.after.values()) < sum(found.before.values())


def test_the_path_of_the_planner_is_written_down_once(run: Path) -> None:
    (found,) = records.load(run, records.PLANNING_FILE, list[Search]) or []
    chosen = [trial for trial in found.trials if trial.chosen]
    evidence = page.Evidence.read(run)
    assert [trial.widths for trial in chosen] == [evidence.kept]
    assert all(len(trial.measured_ms) >= 1 for trial in found.trials) and chosen[0].fits
    assert found.target_ms == evidence.asked.target_ms


def test_scores_are_those_of_the_original(run: Path) -> None:
    found = records.load(run, records.GROUPS_FILE, Scores)
    assert found is not None and found.graph == "original"
    for group in found.groups:
        assert group.channels == 16 and len(group.loss) == 17
        assert (np.diff(group.loss) <= 0).all() and group.loss[-1] == 0


def test_held_out_pictures_are_kept_without_loss(run: Path) -> None:
    found = records.load(run, records.PICTURES_FILE, Pictures)
    assert found is not None and (found.height, found.width) == (48, 48)
    figures = page.Evidence.read(run).figures
    assert len(found.pictures) == figures.held_out_images
    assert np.mean([p.ssim for p in found.pictures]) == pytest.approx(figures.ssim, abs=1e-6)
    worst = found.pictures[0]
    shown = {}
    for kind, file in worst.files.items():
        with Image.open(run / file) as opened:
            shown[kind] = np.asarray(opened, float)
    pair = [shown["original"], shown["compressed"]]
    mse = np.square(pair[0] - pair[1]).mean() / 255**2
    assert -10 * np.log10(mse) == pytest.approx(worst.psnr_db, abs=0.1)
    assert shown["input"].shape == (48, 48, 3)


def test_sessions_and_curve_are_there(run: Path) -> None:
    (session,) = records.load(run, records.SESSIONS_FILE, list[Session]) or []
    assert {"decig", "python", "torch", "onnxruntime"} <= session.versions.keys()
    assert session.began.endswith("+00:00")
    assert {point.step for point in records.load_curve(run)} == {"distil"}
    assert page.Evidence.read(run).missing == []


def test_the_report_has_it_all(run: Path, tmp_path: Path) -> None:
    found = page.write(run, tmp_path / "r.html")
    assert found["missing"] == [] and found["bytes"] > 30_000


def test_where_the_device_is_elsewhere_nodes_are_predicted(tmp_path: Path) -> None:
    asked = small(tmp_path)
    figures = asked.compress()
    found = records.load(asked.output_dir, records.NODES_FILE, Nodes)
    assert found is not None and not found.measured
    total = sum(found.after.values()) / 1000
    assert total == pytest.approx(figures["predicted_latency_ms"], rel=0.1)
    (search,) = records.load(asked.output_dir, records.PLANNING_FILE, list[Search]) or []
    assert [trial.measured_ms for trial in search.trials] == [[]]
    assert page.Evidence.read(asked.output_dir).figures.measured_latency_us is None


def test_what_was_trained_before_the_cut_is_what_is_scored(tmp_path: Path) -> None:
    asked = small(tmp_path, settings={"condense": 0.5, "condense_from": 1.2})
    figures = asked.compress()
    assert figures["condense"]["steps"] == 2 == figures["steps"]
    found = records.load(asked.output_dir, records.GROUPS_FILE, Scores)
    assert found is not None and found.graph == "trained"
    began = Plan.load(asked.output_dir / "condense-plan.json").keep
    assert {g.name: g.channels for g in found.groups} == {n: len(k) for n, k in began.items()}
    assert sum(group.channels for group in found.groups) < 32


def test_a_batch_of_pictures_belongs_to_its_image(tmp_path: Path) -> None:
    proto = tiny_generator(size=48, width=16)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    asked = small(tmp_path, normalise(proto), photos=10, settings={"condense": 0.0})
    figures = asked.compress()
    found = records.load(asked.output_dir, records.PICTURES_FILE, Pictures)
    assert found is not None and len(found.pictures) == figures["held_out_images"] == 2
    assert np.mean([each.ssim for each in found.pictures]) == pytest.approx(figures["ssim"])
    one, other = (
        np.asarray(Image.open(asked.output_dir / each.files["original"])) for each in found.pictures
    )
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("count", [1, SHOWN, SHOWN + 1, 100])
def test_the_worst_and_some_of_the_others_are_shown(count: int) -> None:
    ranks = shown_ranks(count)
    assert ranks == sorted(set(ranks)) and ranks[-1] == count - 1
    assert len(ranks) == min(count, SHOWN)
    assert ranks[:WORST] == list(range(min(count, WORST)))


def test_a_run_for_no_device_has_a_report_too(tmp_path: Path) -> None:
    asked = small(tmp_path)
    teacher = asked.teacher
    target = MacsTarget(teacher.model, teacher.channels)
    asked.but(target=target, target_ms=target.as_it_is_ms / 2).compress()
    (search,) = records.load(asked.output_dir, records.PLANNING_FILE, list[Search]) or []
    assert search.unit == "million multiply-accumulates" and search.trials[0].chosen
    assert page.Evidence.read(asked.output_dir).missing == []
    page.write(asked.output_dir, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "times fewer multiply-accumulates" in text and "counted, not measured" in text
    assert "predicted, million multiply-accumulates" in text


def test_photos_may_have_names_of_any_bytes(tmp_path: Path) -> None:
    asked = small(tmp_path)
    for file in (tmp_path / "photos").iterdir():
        file.rename(file.with_stem(os.fsdecode(file.stem.encode() + b"\xe9")))
    asked.compress()
    found = records.load(asked.output_dir, records.PICTURES_FILE, Pictures)
    assert found is not None and all(each.name.endswith("?") for each in found.pictures)
    page.write(asked.output_dir, tmp_path / "r.html")
