import importlib.util
import json
import re
import shutil
import sys

import pytest

from decig.errors import TargetMissedError
from decig.repeating import read_options
from tests.samples import PIXELS, decig, write_generator, write_photos
from tests.training.loop.test_events import read_events

pytestmark = pytest.mark.train
if importlib.util.find_spec("torch"):
    from tests.training.condensable import table_of, write


def test_a_recipe_that_is_not_there(tmp_path):
    asked = ("--data", tmp_path, "--output-dir", tmp_path / "run")
    result = decig("train", tmp_path / "none", *asked)
    assert result.exit_code == 2
    assert "none" in result.stderr


def test_a_recipe_that_cannot_be_trained(tmp_path):
    (tmp_path / "recipe.toml").write_text(
        '[model]\nonnx = "g.onnx"\ninput_shape = [1, 3, 24, 24]\n'
        "[pixels]\ninput_range = [0, 1]\noutput_range = [0, 1]\n"
    )
    asked = ("--data", tmp_path, "--output-dir", tmp_path / "run")
    result = decig("train", tmp_path, *asked)
    assert result.exit_code == 2
    assert "[train]" in result.stderr


RECIPE = """
[model]
input_shape = [1, 3, 32, 32]
[pixels]
input_range = [-1, 1]
output_range = [-1, 1]
[source]
python = "net.py:Net"
[train]
task = "unpaired"
discriminator_width = 4
stages = [{ crop = 32, steps = 2 }]
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef Net():\n    return nn.Conv2d(3, 3, 1)\n"
    )
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def test_cyclegans_folders_make_two_generators(recipe):
    for side in ("trainA", "trainB", "testA", "testB"):
        write_photos(recipe / "data" / side, height=36)
    asked = ("--data", recipe / "data", "--output-dir", recipe / "run")
    result = decig("train", recipe, *asked, "--direction", "BtoA", "--sample-every", "1s")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(recipe / "run/generator.onnx")
    assert (recipe / "run/generator_back.onnx").is_file()
    again = decig("train", recipe, *asked, "--resume", "--direction", "AtoB")
    assert again.exit_code == 2 and "train.data.direction = 'BtoA'" in again.stderr


def test_what_is_logged_for_tensorboard_goes_on_after_a_resume(recipe):
    for side in ("trainA", "trainB"):
        write_photos(recipe / "data" / side, height=36)
    run = recipe / "run"
    asked = ("train", recipe, "--data", recipe / "data", "--output-dir", run)
    assert decig(*asked, "--tensorboard").exit_code == 0
    found = read_events(run / "tensorboard")
    assert {"loss/generators", "loss/generators/cycle_a", "seconds_per_step"} <= found.keys()
    assert list(found["samples"]) == [2]
    assert list(found["learning_rate/discriminators"]) == [1]
    result = decig("train", "--resume", "--output-dir", run)  # as it was typed, with the log
    assert result.exit_code == 0, result.stderr
    again = read_events(run / "tensorboard")
    assert list(again["loss/generators"]) == [1]
    assert len(list((run / "tensorboard").iterdir())) == 2


@pytest.mark.parametrize("command", ["train", "compress"])
def test_tensorboard_without_its_package(recipe, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    model = recipe if command == "train" else write_generator(recipe / "model.onnx")
    options = () if command == "train" else ("--target-speedup", 2, *PIXELS)
    asked = ("--data", recipe, "--output-dir", recipe / "run", "--tensorboard")
    result = decig(command, model, *asked, *options)
    assert result.exit_code == 2
    assert result.stderr == (
        "decig: error: --tensorboard needs tensorboardX: pip install 'decig[tensorboard]'\n"
    )


def test_a_wrong_folder_is_told_what_was_looked_for(recipe):
    write_photos(recipe / "horses" / "trainA", height=36)
    result = decig("train", recipe, "--data", recipe / "horses", "--output-dir", recipe / "run")
    assert result.exit_code == 2 and not (recipe / "run").exists()
    (line,) = result.stderr.strip().splitlines()
    assert "looked for trainA and trainB, " in line and "trainB is missing" in line


def test_a_direction_that_is_none(recipe):
    asked = ("--data", recipe, "--output-dir", recipe / "run")
    result = decig("train", recipe, *asked, "--direction", "right")
    assert result.exit_code == 2 and "AtoB" in result.stderr


@pytest.fixture
def condensable(tmp_path):
    """Arguments that condense a small net, by the table of another device."""
    recipe = write(tmp_path, "paired")
    table_of(recipe).save(tmp_path / "table.json")
    return [
        *(tmp_path, "--data", tmp_path / "data", "--output-dir", tmp_path / "run"),
        *("--profile", tmp_path / "table.json"),
    ]


def test_condensing_while_training(condensable, tmp_path):
    result = decig("train", *condensable, "--target-speedup", 2, "--force")
    assert result.exit_code == 0, result.stderr
    told = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert list(told)[:3] == ["asked", "generator", "training"]
    assert "2.00 times faster than" in told["asked"] and "not measured" in told["generator"]
    assert re.search(r"; 48 channels to \d+ in 3 groups$", told["generator"])
    assert told["file"].strip() == str(tmp_path / "run/generator.onnx")
    assert told["next"].strip().startswith(f"decig export {tmp_path / 'run/generator.onnx'}")
    report = json.loads((tmp_path / "run/report.json").read_text())
    asked_ms, widths = report["target_latency_ms"], report["generators"]["generator"]
    assert asked_ms == pytest.approx(report["original_latency_ms"] / 2)
    assert widths["predicted_latency_ms"] <= asked_ms * 1.001
    if importlib.util.find_spec("matplotlib"):
        assert ">cut<" in (tmp_path / "run/hinges.svg").read_text()
    (tmp_path / "table.json").unlink()  # the run keeps a copy
    written = (tmp_path / "run/report.json").stat().st_mtime_ns
    again = decig("train", "--resume", "--output-dir", tmp_path / "run")
    assert again.exit_code == 0, again.stderr
    assert "this training is finished" in again.stderr and again.stdout == result.stdout
    assert (tmp_path / "run/report.json").stat().st_mtime_ns == written  # nor measured again
    recorded = (tmp_path / "run/run.toml").read_text()
    assert "[recorded.versions]" in recorded and "[recorded.machine]" not in recorded
    assert "widths" not in recorded


def test_latents_instead_of_a_penalty_and_no_device(condensable, tmp_path):
    rest, run = condensable[:-2], tmp_path / "run"
    asked = ("--target-macs", 0.5, "--method", "hypernet")
    result = decig("train", *rest, *asked)
    assert result.exit_code == 0, result.stderr
    report = json.loads((run / "report.json").read_text())
    assert report["method"] == "hypernet" and report["target_latency_ms"] is None
    assert report["generators"]["generator"]["predicted_macs"] <= report["target_macs"]
    told = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert f"{report['target_macs'] / 1e6:.2f} M multiply-accumulates" in told["asked"]
    assert re.search(r"counted \d.* channels to \d+ in 3 groups$", told["generator"])
    assert told["next"].strip() == f"decig export {run / 'generator.onnx'} -o run.onnx"
    again = decig("train", "--resume", "--output-dir", run)
    assert again.exit_code == 0, again.stderr
    other = decig("train", "--resume", "--output-dir", run, "--method", "decig")
    assert other.exit_code == 2 and "condense.method = 'hypernet'" in other.stderr
    said = (run / "run.toml").read_bytes()
    shutil.rmtree(run)
    run.mkdir()
    (run / "run.toml").write_bytes(said)  # as a run leaves it that was killed before it began
    again = decig("train", "--resume", "--output-dir", run)
    assert again.exit_code == 0, again.stderr
    assert json.loads((run / "report.json").read_text())["method"] == "hypernet"
    assert 'method = "hypernet"' in (run / "run.toml").read_text()


def test_what_does_not_go_together_when_condensing(condensable, tmp_path):
    *rest, _, _ = condensable
    for asked, said in (
        ((*rest, "--method", "hypernet"), "give --profile TABLE.json or --target-macs"),
        ((*condensable, "--target-macs", "1M"), "leave --profile out"),
        ((*rest, "--target-macs", "1M", "--target-speedup", 2), "exclude each other"),
        ((*condensable, "--method", "hypernet", "--force"), "give a latency, a speed-up or"),
        ((*condensable, "--method", "supernet", "--force"), "train with decig or hypernet"),
        ((*rest, "--method", "supernet"), "train with decig or hypernet"),  # before a table is made
        ((*rest, "--target-macs", "2x"), "no number of multiply-accumulates"),
    ):
        result = decig("train", *asked)
        assert result.exit_code == 2 and said in result.stderr, asked
        assert not (tmp_path / "run").exists()


def test_a_target_that_is_missed_at_the_cut_is_no_dead_end(condensable, tmp_path, monkeypatch):
    """Stage I is kept, and goes on with another target; nothing of it is trained again."""
    from decig.training.methods import decig as method

    def missed(*_):
        raise TargetMissedError("a target of 1 ms is out of reach")

    with monkeypatch.context() as patch:
        patch.setattr(method, "cut_condensed", missed)
        result = decig("train", *condensable, "--target-speedup", 2, "--force")
    run = tmp_path / "run"
    assert result.exit_code == 3
    *_, line = result.stderr.splitlines()
    assert f"out of reach; what stage I has condensed is kept in {run}" in line
    assert line.endswith(
        f"decig train --resume --output-dir {run} --target-latency LATENCY (or --target-speedup "
        "TIMES)"
    )
    other = decig("train", "--resume", "--output-dir", run, "--direction", "BtoA")
    assert other.exit_code == 2 and "train.data.direction" in other.stderr
    again = decig("train", "--resume", "--output-dir", run, "--target-speedup", "1.5")
    assert again.exit_code == 0, again.stderr
    report = json.loads((run / "report.json").read_text())
    assert report["target_latency_ms"] == pytest.approx(report["original_latency_ms"] / 1.5)
    assert read_options(run / "run.toml")["target_speedup"] == "1.5"
    assert not (run / "missed.json").exists()
    finished = decig("train", "--resume", "--output-dir", run, "--target-speedup", 2)
    assert finished.exit_code == 2 and "condense.target_ms" in finished.stderr


def test_missed_multiply_accumulates_ask_for_others_of_them(condensable, tmp_path, monkeypatch):
    """Nobody who names no device is told of latencies and cost tables."""
    from decig.training.methods import decig as method

    def missed(*_):
        raise TargetMissedError("out of reach")

    monkeypatch.setattr(method, "cut_condensed", missed)
    run = tmp_path / "run"
    again = ("train", "--resume", "--output-dir", run)
    for asked in (("train", *condensable[:-2], "--target-macs", 0.5), again):
        result = decig(*asked)
        assert result.exit_code == 3
        assert result.stderr.endswith(
            f"decig train --resume --output-dir {run} --target-macs NUMBER\n"
        )
        assert "latency" not in result.stderr and "slower" not in result.stderr


def test_condensing_needs_a_table_that_fits(condensable, tmp_path):
    *rest, _, _ = condensable
    result = decig("train", *rest, "--target-latency", "5ms")
    assert result.exit_code == 2 and "make it with decig profile RECIPE" in result.stderr
    both = ("--target-latency", "5ms", "--target-speedup", 2)
    result = decig("train", *condensable, *both)
    assert result.exit_code == 2 and "--target-speedup" in result.stderr
    result = decig("train", *condensable, "--target-speedup", 2)
    assert result.exit_code == 2 and "belongs to another device" in result.stderr
    result = decig("train", *condensable, "--target-latency", "1us", "--force")
    assert result.exit_code == 3 and "out of reach" in result.stderr
    net = (tmp_path / "net.py").read_text()
    (tmp_path / "net.py").write_text(net.replace("width=16", "width=20"))
    result = decig("train", *condensable, "--force")
    assert result.exit_code == 2 and "the cost table was made for another model" in result.stderr
    assert not (tmp_path / "run").exists()
