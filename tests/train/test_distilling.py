from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from decig.train.distilling import rate_share, stage_budget
from decig.train.loop import Budget
from decig.train.run import RunFolder
from decig.train.settings import Settings


@pytest.mark.parametrize(
    ("ssim", "share"), [(0.2, 1.0), (0.75, 1.0), (0.95, 0.2), (0.99, 0.04), (1.0, 0.02)]
)
def test_the_nearer_the_start_the_lower_the_learning_rate(ssim: float, share: float) -> None:
    assert rate_share(ssim) == pytest.approx(share)


def test_stage_two_has_what_stage_one_leaves(tmp_path: Path) -> None:
    request = SimpleNamespace(budget=Budget(steps=100))
    job: Any = SimpleNamespace(request=request, settings=Settings(condense=0.4))
    assert stage_budget(job, RunFolder(tmp_path)) == Budget(steps=100)
    (tmp_path / "condensed.onnx").touch()
    assert stage_budget(job, RunFolder(tmp_path)) == Budget(steps=60)
