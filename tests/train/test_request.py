import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from decig.data.labels import Labels
from decig.device.plan.target import Target
from decig.train.loop import Budget
from decig.train.request import Request
from decig.train.run import RunFolder
from tests.device.bench import FakeBench
from tests.train.small_request import small_request


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return small_request(tmp_path)


def test_the_record_reads_back_as_it_was_written(request_: Request) -> None:
    labels = Labels(((0, 0, 0), (255, 0, 0)), encoding="colours")
    pixels = dataclasses.replace(request_.pixels, labels=labels)
    record = dataclasses.replace(request_, pixels=pixels, feeds={"code": "normal"}).record()
    assert json.loads(json.dumps(record)) == record
    assert record["model"]["sha256"] == request_.model.sha256
    assert record["images"] == str(request_.images) and record["targets"] is None
    assert record["feeds"] == {"code": "normal"}


@pytest.mark.parametrize(
    ("field", "value", "key"),
    [
        ("target_ms", 1.0, "target_ms"),
        ("budget", Budget(seconds=3.0), "budget"),
        ("images", None, "images"),
        ("targets", Path("elsewhere"), "targets"),
        ("feeds", {"code": 0.5}, "feeds"),
        ("fold_norms", True, "fold_norms"),
    ],
)
def test_a_run_is_not_resumed_for_another_request(
    request_: Request, field: str, value: Any, key: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    RunFolder.open(folder, request_.record(), resume=False)
    RunFolder.open(folder, request_.record(), resume=True)
    other = dataclasses.replace(request_, **{field: value})
    with pytest.raises(Exception, match=f"the run there has another {key}"):
        RunFolder.open(folder, other.record(), resume=True)


def test_what_does_not_change_the_student_is_not_recorded(request_: Request) -> None:
    busy = Target(request_.device.table, FakeBench(lambda _: 1.0), ("busy",))
    noisy = dataclasses.replace(request_, resume=True, device=busy)
    assert noisy.record() == request_.record()
