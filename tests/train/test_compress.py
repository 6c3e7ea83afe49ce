import dataclasses
import json
from pathlib import Path
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
from decig.graph.plan import Plan
from decig.train.compress import compress, preview
from decig.train.loop import Budget
from decig.train.request import Request
from decig.train.settings import Settings
from tests.device.bench import FakeBench
from tests.train.small_request import quiet, work_table
from tests.train.tiny import tiny_generator

STEPS = 12


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
def request_for(model: Model, table: CostTable, photos: Path, tmp_path: Path) -> Any:
    rewritten = dataclasses.replace(table.model, rewrites=("wide_head",))

    def make(**changes: Any) -> Request:
        settings = Settings(crop=32, batch=2, held_out=2, repair_crops=4, condense=0.5)
        request = Request(
            model=model,
            pixels=PixelFormat((0.0, 1.0), (0.0, 1.0)),
            device=Target(dataclasses.replace(table, model=rewritten)),
            images=photos,
            targets=None,
            output_dir=tmp_path / "run",
            target_ms=table.latency_us.median_ms / 2,
            budget=Budget(steps=STEPS),
            settings=settings,
        )
        settings = dataclasses.replace(settings, **changes.pop("settings", {}))
        return dataclasses.replace(request, settings=settings, **changes)

    return make


def weights(path: Path) -> dict[str, bytes]:
    return {t.name: t.raw_data for t in onnx.load(path).graph.initializer}


def test_leaves_a_slim_student_a_plan_in_the_teachers_channels_and_figures(
    request_for: Any, model: Model
) -> None:
    request = request_for()
    figures = compress(request, quiet)
    run = request.output_dir
    student = load_model(run / "student.onnx").proto
    plan = Plan.load(run / "plan.json")
    assert plan.model_sha256 == model.sha256
    before, after = shapes(model.proto), shapes(student)
    for group, kept in plan.keep.items():
        assert after[f"{group}.weight"][0] == len(kept) <= before[f"{group}.weight"][0]
    assert sum(map(len, plan.keep.values())) < 64
    assert figures["predicted_latency_ms"] <= request.target_ms
    assert -1 <= figures["ssim_before_distilling"] <= figures["ssim"] <= 1
    report = json.loads((run / "report.json").read_text())
    assert report["widths"] == figures["widths"]
    assert report["rewrites"] == ["wide_head"]
    assert not (run / "state").exists()


def test_training_that_makes_nothing_better_leaves_the_repaired_graph(
    request_for: Any, caplog: pytest.LogCaptureFixture
) -> None:
    request = request_for(settings={"learning_rate": 0.5, "condense": 0.0})
    figures = compress(request, quiet)
    run = request.output_dir
    assert figures["ssim"] == figures["ssim_before_distilling"]
    assert weights(run / "student.onnx") == weights(run / "start.onnx")
    assert "the repaired graph is kept" in caplog.text


@pytest.mark.parametrize("stage", ["condense", "distil"])
def test_a_killed_run_ends_with_the_student_of_an_unbroken_one(
    request_for: Any, stage: str, tmp_path: Path
) -> None:
    def kill(step: str, share: float, _: Any) -> None:
        if step == stage and share >= 0.4:
            raise RuntimeError("killed")

    whole = request_for(budget=Budget(steps=50))
    compress(whole, quiet)
    broken = dataclasses.replace(whole, output_dir=tmp_path / "broken")
    with pytest.raises(RuntimeError, match="killed"):
        compress(broken, kill)
    assert not (broken.output_dir / "student.onnx").exists()
    compress(dataclasses.replace(broken, resume=True), quiet)
    name = "student.onnx"
    assert weights(broken.output_dir / name) == weights(whole.output_dir / name)


def test_targets_and_features_take_part(request_for: Any, photos: Path) -> None:
    request = request_for(targets=photos, settings={"features": 0.1, "condense": 0.0})
    compress(request, quiet)
    assert not (request.output_dir / "condensed.onnx").exists()
    assert (request.output_dir / "student.onnx").exists()


def test_without_a_target_the_hinge_decides(request_for: Any) -> None:
    request = request_for(target_ms=None, settings={"condense": 0.0}, budget=Budget(steps=2))
    figures = compress(request, quiet)
    assert all(1 <= width <= 32 for width in figures["widths"].values())


def test_the_plan_is_tightened_until_the_device_meets_the_target(request_for: Any) -> None:
    seen: list[int] = []

    def slow(proto: onnx.ModelProto) -> float:
        seen.append(sum(shapes(proto)[f"{name}.weight"][0] for name in ("c1", "c2")))
        return 2.5 * request.target_ms if len(seen) == 1 else request.target_ms

    request = request_for(settings={"condense": 0.0}, budget=Budget(steps=1))
    bench = FakeBench(slow)
    request = dataclasses.replace(request, device=Target(request.device.table, bench))
    compress(request, quiet)
    assert len(seen) == 2 and seen[1] < seen[0]


def test_an_unreachable_target_says_the_fastest_and_writes_nothing(request_for: Any) -> None:
    request = request_for(target_ms=1e-6)
    with pytest.raises(TargetMissedError, match="out of reach"):
        compress(request, quiet)
    assert not request.output_dir.exists()


def test_a_preview_writes_nothing(request_for: Any) -> None:
    request = request_for()
    found = preview(request)
    assert found["predicted_latency_ms"] <= request.target_ms
    assert found["widths"].keys() == found["channels"].keys() == {"c1", "c2"}
    assert not request.output_dir.exists()


def test_another_graphs_table_a_taken_folder_and_too_few_images_are_refused(
    request_for: Any, table: CostTable, tmp_path: Path, photos: Path
) -> None:
    other = dataclasses.replace(table, model=dataclasses.replace(table.model, sha256="0" * 64))
    with pytest.raises(BadInputError):
        compress(request_for(device=Target(other)), quiet)
    short = request_for(budget=Budget(steps=1), settings={"condense": 0.0})
    compress(short, quiet)
    with pytest.raises(BadInputError, match="holds a run already"):
        compress(short, quiet)
    with pytest.raises(BadInputError, match="another"):
        compress(dataclasses.replace(short, target_ms=1.0, resume=True), quiet)
    lone = tmp_path / "lone"
    lone.mkdir()
    (photos / "0.png").rename(lone / "0.png")
    with pytest.raises(BadInputError, match="at least two"):
        compress(request_for(images=lone, output_dir=tmp_path / "other"), quiet)
    (lone / "0.png").rename(photos / "0.png")
