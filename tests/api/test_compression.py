"""compress as a function does what the command does."""

import json
from dataclasses import replace

import pytest

import decig
from decig import BadInputError, TargetMissedError
from decig.api import compression
from decig.device.cost.table import CostTable
from decig.device.run.device import Device
from decig.repeating import Said, read_options
from decig.training.loop.processes import Processes
from tests.api.test_deployment import PIXELS_OF_SAMPLES
from tests.samples import PIXELS, call, write_generator, write_photos
from tests.training.small import write_table


@pytest.fixture
def asked(tmp_path):
    """A model, a cost table of another device, and photos."""
    model = write_generator(tmp_path / "m.onnx")
    write_table(tmp_path / "t.json", model)
    source = decig.load(model, **PIXELS_OF_SAMPLES)
    return source, {"data": write_photos(tmp_path / "photos"), "table": tmp_path / "t.json"}


def test_a_run_is_that_of_the_command(asked, tmp_path):
    source, given = asked
    said = Said(command="compress", options={"steps": 2}, arguments=["m.onnx"])
    figures = decig.compress(
        source, tmp_path / "a", **given, force=True, target_speedup=2, steps=2, said=said
    )
    assert (
        read_options(tmp_path / "a" / "run.toml").items() >= {"steps": 2, "method": "decig"}.items()
    )
    assert json.loads((tmp_path / "a" / "report.json").read_text()).items() >= figures.items()
    words = ("--data", given["data"], "--profile", given["table"], "--force", *PIXELS)
    run = ("--target-speedup", 2, "--steps", 2, "--output-dir", tmp_path / "b")
    found = call("compress", tmp_path / "m.onnx", *words, *run)
    for key in ("predicted_latency_ms", "ssim", "psnr_db", "steps"):
        assert figures[key] == found[key], key
    files = [(tmp_path / run / "student.onnx").read_bytes() for run in ("a", "b")]
    assert files[0] == files[1]


def test_only_the_main_process_must_be_on_the_device_of_the_table(asked, tmp_path, monkeypatch):
    source, given = asked
    more = {"target_speedup": 2, "steps": 1, "dry_run": True}
    with pytest.raises(BadInputError, match="belongs to another device"):
        decig.compress(source, tmp_path / "run", **given, **more)
    monkeypatch.setattr(Processes, "after_main", lambda self, work, others: others())
    assert decig.compress(source, tmp_path / "run", **given, **more)["widths"]


def test_several_targets_and_a_plan_alone(asked, tmp_path):
    source, given = asked
    found = decig.compress(
        source,
        tmp_path / "run",
        **given,
        force=True,
        target_speedup=[2, 1.5],
        steps=1,
        dry_run=True,
    )
    assert list(found["targets"]) == ["1.5x", "2x"]
    assert not (tmp_path / "run").exists()
    found = decig.compress(
        source, tmp_path / "run", data=given["data"], target_macs=0.5, dry_run=True
    )
    assert found["widths"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target_speedup": 2, "target_macs": 0.5}, "targets are of one kind"),
        ({"target_speedup": [2, 4, 2]}, "target speedup: 2x is named twice"),
        ({"target_speedup": 2, "steps": 1, "budget_s": 3}, "one of a budget and a number of steps"),
        ({"target_macs": 0.5}, "leave the cost table out"),
        ({"target_speedup": 0}, "target speedup: 0 cannot be reached"),
        ({"target_speedup": 2, "steps": 0}, "a number of steps, is above 0"),
        ({"target_speedup": 2, "budget_s": 0}, "a number of steps, is above 0"),
        ({"target_speedup": 2, "targets": ".", "unpaired": "."}, "one of targets and unpaired"),
    ],
)
def test_what_does_not_go_together_is_refused(asked, tmp_path, wrong, message):
    source, given = asked
    with pytest.raises(BadInputError, match=message):
        decig.compress(source, tmp_path / "run", **given, force=True, **wrong)
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_a_target_of_its_own_kind(asked, tmp_path):
    """That is told before the model is profiled for a latency that the run has not."""
    source, given = asked
    run = {"output_dir": tmp_path / "run", "data": given["data"], "steps": 1}
    decig.compress(source, **run, target_macs=0.5)

    def told(*_):
        raise AssertionError("nothing is measured")

    message = "has a target of multiply-accumulates, not of a latency: leave the target out"
    with pytest.raises(BadInputError, match=message):
        decig.compress(source, **run, target_speedup=2, resume=True, progress=told)


def test_a_folder_of_another_command_is_left_alone(asked, tmp_path):
    source, given = asked
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "run.toml").write_text('[recorded]\ncommand = "train"\n')
    with pytest.raises(BadInputError, match="holds no run that could go on"):
        decig.compress(source, folder, data=given["data"], target_macs=0.5, resume=True)
    assert [file.name for file in folder.iterdir()] == ["run.toml"]


def test_a_cost_table_that_was_taken_is_used_again(asked, tmp_path, monkeypatch):
    """By the next call for this model on this device, where the first was out of reach."""
    source, given = asked
    folder, taken = tmp_path / "run", []
    table = replace(
        CostTable.load(given["table"]), device=Device.of(threads=1).fingerprint()
    ).as_written()

    def profile(*_, **__):
        taken.append(1)
        return table

    monkeypatch.setattr(compression, "profile", profile)

    def call(model=source, **more):
        with pytest.raises(TargetMissedError, match="out of reach"):
            decig.compress(model, folder, data=given["data"], target_speedup=1e5, **more)
        return len(taken)

    assert call(dry_run=True) == 1 and not folder.exists()
    assert call() == 2 and [file.name for file in folder.iterdir()] == ["profile.json"]
    assert call() == call(dry_run=True) == 2
    for other in (
        replace(table, device=replace(table.device, cpu="another")),
        replace(table, device=replace(table.device, threads=2)),
        replace(table, model=replace(table.model, sha256="another")),
    ):
        before = len(taken)
        other.save(folder / "profile.json")
        assert call() == before + 1 and call() == before + 1
    (folder / "profile.json").write_text("no table")
    assert call() == before + 2
