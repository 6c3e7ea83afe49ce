"""All losses at once, by every method: a killed run ends as an unbroken one."""

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from decig.errors import BadInputError
from decig.training.compression.adversary import fresh_discriminator
from decig.training.compression.terms import TERMS
from decig.training.config import Config
from decig.training.loop import engine as engine_module
from decig.training.loop.schedule import Budget
from decig.training.nets.multiscale import MultiscaleDiscriminator
from decig.training.pytorch.discriminator import save_discriminator
from tests.samples import write_photos
from tests.training.killed import first_steps
from tests.training.small import Asked, small, with_settings

METHODS = {
    "decig": {"condense": 0.34},
    "supernet": {"train": 0.34, "search": 0.0, "plans": 3, "menu": 2},
    "hypernet": {"shrink": 0.34},
}
WEIGHTS = dict.fromkeys(TERMS, 0.1) | {"imitation": 0.1}
SMALL = {"crop": 32, "batch": 1, "held_out": 2, "repair_crops": 2, "pool": 4, "precision": "fp32"}


def asked(folder: Path, method: str, **changes: Any) -> Asked:
    """All weights on, three steps."""
    config = with_settings(Config.read(None, method), **SMALL, **WEIGHTS, **METHODS[method])
    made = small(folder, config=config, output_dir=folder / "run", budget=Budget(steps=3))
    return made.but(**changes)


def weights(run: Path) -> dict[str, bytes]:
    return {t.name: t.raw_data for t in onnx.load(run / "student.onnx").graph.initializer}


@pytest.mark.usefixtures("saving_always")
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_ends_with_the_student_of_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    save_discriminator(fresh_discriminator(3, 8, 1), tmp_path / "D.safetensors")
    targets = write_photos(tmp_path / "targets", 6, 60, 64)
    given = {"targets": targets, "discriminator": tmp_path / "D.safetensors"}
    whole = asked(tmp_path, method, **given, output_dir=tmp_path / "whole")
    seen: set[str] = set()
    update = engine_module.Engine._update

    def noted(engine: engine_module.Engine, progress: float) -> dict[str, float]:
        losses = update(engine, progress)
        seen.update(losses)
        return losses

    monkeypatch.setattr(engine_module.Engine, "_update", noted)
    figures = whole.compress()
    names = {*TERMS, "output", "targets", "adversarial"}
    assert seen == {"student", "discriminator", "discriminator/adversarial"} | {
        f"student/{name}" for name in names
    }

    def kill(engine: engine_module.Engine, progress: float) -> dict[str, float]:
        if "discriminator" in engine.task.nets and engine.step == 1:
            raise SystemExit
        return update(engine, progress)

    cut = asked(tmp_path, method, **given, output_dir=tmp_path / "cut")
    monkeypatch.setattr(engine_module.Engine, "_update", kill)
    with pytest.raises(SystemExit):
        cut.compress()
    monkeypatch.setattr(engine_module.Engine, "_update", update)
    again: dict[str, Any] = {}
    begun = first_steps(lambda: again.update(cut.but(resume=True).compress()))
    assert next(iter(begun.values())) == 1
    assert weights(cut.output_dir) == weights(whole.output_dir)
    assert again["ssim"] == figures["ssim"]


@pytest.mark.parametrize("real", ["targets", "unpaired", "teacher"])
def test_a_given_discriminator_judges_whatever_is_real(tmp_path: Path, real: str) -> None:
    channels = 3 if real == "unpaired" else 6
    torch.manual_seed(0)
    save_discriminator(MultiscaleDiscriminator(channels, 4, layers=3), tmp_path / "D.safetensors")
    made = asked(tmp_path, "decig", discriminator=tmp_path / "D.safetensors")
    if real != "teacher":
        made = made.but(**{real: write_photos(tmp_path / "real", 6, 60, 64)})
    found = made.but(settings={"condense": 0.0}).compress()
    assert found["steps"] == 3


def test_another_discriminator_does_not_go_on(tmp_path: Path) -> None:
    files = [tmp_path / f"{seed}.safetensors" for seed in (0, 1)]
    for seed, file in enumerate(files):
        save_discriminator(fresh_discriminator(3, 8, seed), file)
    made = asked(tmp_path, "decig", discriminator=files[0], settings={"condense": 0.0})
    made.compress()
    for other in (files[1], None):
        with pytest.raises(BadInputError, match=r"the run there has another discriminator"):
            made.but(resume=True, discriminator=other).compress()
    moved = files[0].rename(tmp_path / "moved.safetensors")
    assert made.but(resume=True, discriminator=moved).compress()["steps"] == 3


NOTHING = dict.fromkeys(WEIGHTS, 0.0)
TOO_SMALL = {"crop": 16, "structure": 0.0, "imitation": 0.0}


@pytest.mark.parametrize(
    ("channels", "real", "settings", "message"),
    [
        (6, "", NOTHING, r"would judge nothing: give real pictures .* imitation above 0 in the ta"),
        (6, "targets", NOTHING | {"adversarial": 0.0}, r"would judge nothing: adversarial is 0"),
        (5, "", {}, r"judges 5 channels; .* one of 3 .* or 6"),
        (6, "unpaired", {}, r"beside their input \(6 channels\), and unpaired pictures"),
        (6, "", TOO_SMALL, r"distil\.discriminator_features, which needs 24"),
    ],
)
def test_one_that_serves_nothing_is_refused_before_images_are_read(
    tmp_path: Path,
    channels: int,
    real: str,
    settings: dict[str, float],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_discriminator(fresh_discriminator(channels - 3, 8, 0), tmp_path / "D.safetensors")
    made = asked(tmp_path, "decig", discriminator=tmp_path / "D.safetensors")
    if real:
        made = made.but(**{real: write_photos(tmp_path / "real", 6, 60, 64)})

    def read(*_: object) -> None:
        raise AssertionError("reads images although the discriminator does not serve")

    monkeypatch.setattr("decig.training.data.examples.Examples.training", property(read))
    with pytest.raises(BadInputError, match=message):
        made.but(settings=settings).compress()
    assert not made.output_dir.exists()
