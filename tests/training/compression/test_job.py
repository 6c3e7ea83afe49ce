from pathlib import Path

import pytest

from decig.training.loop.precision import Precision
from decig.training.methods.decig import Settings
from decig.training.tasks import distil
from tests.training.small import small


def test_held_out_images_judge_by_the_teachers_pictures(tmp_path: Path) -> None:
    job = small(tmp_path).job()
    assert job.judge is job.judge  # the teacher paints once
    assert job.judge.ssim(job.teacher.model.proto) == pytest.approx(1)


def test_settings_are_those_of_the_method(tmp_path: Path) -> None:
    job = small(tmp_path, settings={"fold": 0.7}).job()
    assert job.settings(Settings).fold == 0.7
    with pytest.raises(AssertionError, match="of another method"):
        job.settings(distil.Settings)


def test_the_precision_is_the_one_asked_for(tmp_path: Path) -> None:
    for name, bf16 in (("fp32", False), ("bf16", True)):
        job = small(_made(tmp_path / name), settings={"precision": name}).job()
        assert job.precision == Precision("cpu", bf16)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
