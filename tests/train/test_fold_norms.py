import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from decig.data.pixels import PixelFormat
from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.errors import DecigError
from decig.graph.model import load_model
from decig.graph.norm_folding import all_norms, foldable_norms
from decig.progress import Progress
from decig.train.compress import compress
from decig.train.fold_norms import with_joined_norms
from decig.train.loop import Budget
from decig.train.request import Request
from decig.train.settings import Settings
from tests.device.bench import FakeBench
from tests.train.small_request import quiet, work_table
from tests.train.tiny import tiny_generator


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
def request_for(place: Path, tmp_path: Path) -> Callable[..., Request]:
    table = CostTable.load(place / "table.json")

    def make(**changes: Any) -> Request:
        settings = Settings(crop=32, batch=2, held_out=2, repair_crops=4, fold=0.5)
        settings = dataclasses.replace(settings, **changes.pop("settings", {}))
        return dataclasses.replace(
            Request(
                model=load_model(place / "tiny.onnx"),
                pixels=PixelFormat((0.0, 1.0), (0.0, 1.0)),
                device=Target(table),
                images=place / "photos",
                targets=None,
                output_dir=tmp_path / "run",
                target_ms=None,
                budget=Budget(steps=18),
                settings=settings,
                fold_norms=True,
            ),
            **changes,
        )

    return make


def killer(share: float) -> Progress:
    """Progress that ends the program in the middle of folding."""

    def kill(step: str, done: float, _: Any) -> None:
        if step == "fold norms" and done >= share:
            raise RuntimeError("killed")

    return kill


def student(request: Request) -> onnx.ModelProto:
    return load_model(request.output_dir / "student.onnx").proto


def weights(proto: onnx.ModelProto) -> dict[str, bytes]:
    return {tensor.name: tensor.raw_data for tensor in proto.graph.initializer}


def test_norms_fold_where_the_tolerance_lets_them(request_for: Callable[..., Request]) -> None:
    request = request_for(settings={"fold_tolerance": 1.0})
    bench = FakeBench(lambda proto: len(proto.graph.node))
    request = dataclasses.replace(request, device=Target(request.device.table, bench))
    figures = compress(request, quiet)
    assert all_norms(student(request)) == []
    assert figures["norms_folded"].keys() == {"n1", "n2", "n3"}
    assert figures["norms_put_back"] == {}
    assert figures["latency_ms"]["with_norms"] - figures["latency_ms"]["folded"] == 3
    assert figures["steps"] == 9 and figures["folding_steps"] == 9
    assert figures["ssim"] == list(figures["norms_folded"].values())[-1]
    assert json.loads((request.output_dir / "report.json").read_text()) == figures
    assert not (request.output_dir / "state").exists()


def test_norms_come_back_where_the_pictures_need_them(request_for: Callable[..., Request]) -> None:
    request = request_for(settings={"fold_tolerance": -1.0})
    figures = compress(request, quiet)
    distilled = load_model(request.output_dir / "distilled.onnx").proto
    assert weights(student(request)) == weights(distilled)
    assert foldable_norms(student(request)) == ["n1", "n2", "n3"]
    assert figures["norms_put_back"].keys() == {"n1", "n2", "n3"}
    assert figures["norms_folded"] == {}
    assert figures["ssim"] == figures["ssim_before_folding"]


def test_every_norm_is_judged_by_itself(request_for: Callable[..., Request]) -> None:
    """The first to go changes least; a tolerance between the rounds' losses parts them."""
    whole = request_for(settings={"fold_tolerance": 1.0})
    found = compress(whole, quiet)
    ssim = [found["ssim_before_folding"], *found["norms_folded"].values()]
    lost = [max(ssim[: k + 1]) - ssim[k] for k in range(1, 4)]
    assert max(lost) > min(lost)
    tolerance = (max(lost) + min(lost)) / 2
    some = request_for(
        settings={"fold_tolerance": tolerance}, output_dir=whole.output_dir.with_name("some")
    )
    figures = compress(some, quiet)
    assert len(figures["norms_folded"]) + len(figures["norms_put_back"]) == 3
    assert figures["norms_folded"] and figures["norms_put_back"]
    assert set(all_norms(student(some))) == figures["norms_put_back"].keys()
    best = max([figures["ssim_before_folding"], *figures["norms_folded"].values()])
    assert figures["ssim"] >= best - tolerance


def test_photos_smaller_than_the_model_are_enlarged(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 44, 3), np.uint8)).save(tmp_path / f"{index}.png")
    request = request_for(images=tmp_path, budget=Budget(steps=6))
    figures = compress(request, quiet)
    assert figures["norms_folded"].keys() | figures["norms_put_back"].keys() == {"n1", "n2", "n3"}


def test_a_run_killed_twice_ends_with_the_student_of_an_unbroken_one(
    request_for: Callable[..., Request], place: Path, tmp_path: Path
) -> None:
    targets = {"targets": place / "photos", "settings": {"features": 0.1}}
    whole = request_for(**targets, budget=Budget(steps=12))
    figures = compress(whole, quiet)
    broken = dataclasses.replace(whole, output_dir=tmp_path / "broken")
    # Within a round, whose first step is on disk, and before the next one has left anything.
    for share in (1 / 3, 0.4):
        with pytest.raises(RuntimeError, match="killed"):
            compress(broken, killer(share))
        assert not (broken.output_dir / "student.onnx").exists()
        broken = dataclasses.replace(broken, resume=True)
    again = compress(broken, quiet)
    assert weights(student(broken)) == weights(student(whole))
    timed = ("training_seconds", "folding_seconds")
    assert {k: v for k, v in again.items() if k not in timed} == {
        k: v for k, v in figures.items() if k not in timed
    }


def test_a_damaged_state_is_named(request_for: Callable[..., Request]) -> None:
    request = request_for()
    with pytest.raises(RuntimeError, match="killed"):
        compress(request, killer(0.5))
    (request.output_dir / "state" / "fold.pt").write_bytes(b"no state")
    with pytest.raises(DecigError, match=r"fold\.pt: not the state of this run"):
        compress(dataclasses.replace(request, resume=True), quiet)


def test_norms_that_are_spelled_out_are_seen(shared_suite: Path) -> None:
    proto = load_model(shared_suite / "fns_candy_nc16.onnx").proto
    assert foldable_norms(proto) == []
    joined = with_joined_norms(proto)
    assert len(foldable_norms(joined)) == len(all_norms(joined)) == 15
