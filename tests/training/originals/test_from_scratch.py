import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable
from decig.device.plan.planner import fastest_widths
from decig.device.plan.target import Target
from decig.device.plan.wanted import Wanted
from decig.errors import BadInputError, TargetMissedError
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import initializers, load_model
from decig.graph.oracle import masked_graph
from decig.graph.plan import FLOOR, Plan
from decig.graph.scoring import channel_norms
from decig.source.recipe import load_recipe
from decig.source.stamp import read_known
from decig.training.narrowing import steering
from decig.training.narrowing.condense import Condenser
from decig.training.originals import from_scratch
from decig.training.originals.condensing_goal import CondensingGoal
from decig.training.tasks.paired import Paired
from tests.device.bench import FakeBench
from tests.runtime import open_plain
from tests.training.condensable import STEPS, table_of, train, wanted, write
from tests.training.killed import first_steps

GENERATOR, WHOLE = "generator.onnx", "condensed/generator.onnx"


@pytest.fixture(autouse=True)
def steers_at_every_step(monkeypatch: pytest.MonkeyPatch, saving_always: None) -> None:
    """A dozen steps are enough to condense a net, and every one of them is saved."""
    monkeypatch.setattr(steering, "_STEER_EVERY", 1)
    begin = Condenser.__init__

    def strong(self: Condenser, *args: object, **options: object) -> None:
        begin(self, *args, **options)  # type: ignore[arg-type]
        self.rate = 0.1

    monkeypatch.setattr(Condenser, "__init__", strong)


def paint(file: Path | onnx.ModelProto, channels: int = 3) -> np.ndarray:
    noise = np.random.default_rng(1).uniform(-1, 1, (1, channels, 32, 32)).astype(np.float32)
    picture: np.ndarray = open_plain(file).run(None, {"input": noise})[0]
    return picture


def difference(file: Path, other: Path | onnx.ModelProto, channels: int = 3) -> float:
    """Largest difference of two generators' pictures, as a share of their range."""
    one, another = paint(file, channels), paint(other, channels)
    return float(np.abs(one - another).max() / np.ptp(another))


def widths_of(file: Path) -> dict[str, int]:
    return {group.name: group.channels for group in analyse(load_model(file).proto).prunable}


def contents(run: Path) -> dict[str, bytes]:
    files = ("generator.onnx", "hinges.json", "condensed/generator.onnx", "start/generator.onnx")
    return {name: (run / name).read_bytes() for name in files}


def test_a_latency_is_met_and_what_was_cut_was_dead(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    table = table_of(recipe)
    asked, run = wanted(table), tmp_path / "run"
    assert train(recipe, run, asked) == run / "generator.onnx"
    predict = Predictor(table).predict_ms
    slim, whole = widths_of(run / "generator.onnx"), widths_of(run / "condensed/generator.onnx")
    assert asked.target_ms is not None
    assert predict(slim) <= asked.target_ms * 1.001 < predict(whole)
    assert whole == dict(table.groups)

    condensed = load_model(run / "condensed/generator.onnx")
    channels, plan = analyse(condensed.proto), Plan.load(run / "condensed/generator.plan.json")
    plan.require_fits(channels, condensed.sha256)
    masked = masked_graph(condensed.proto, channels, plan)
    assert difference(run / "start/generator.onnx", masked) < 1e-4
    assert difference(run / "start/generator.onnx", run / "condensed/generator.onnx") < 0.1

    curves = json.loads((run / "hinges.json").read_text())["generators"]["generator"]
    for name, curve in curves.items():
        assert curve["channels"] == {"before": whole[name], "after": slim[name]}
        assert curve["magnitudes"] == sorted(curve["magnitudes"], reverse=True)
        assert len(curve["magnitudes"]) == whole[name]
        squares = np.square(curve["magnitudes"])
        assert squares[slim[name] :].sum() < 0.05 * squares.sum()  # hardly anybody read them
    assert any(curve["magnitudes"][-1] == 0 for curve in curves.values())

    report = json.loads((run / "report.json").read_text())
    assert report["steps"] == {"condense": STEPS // 2, "teach": STEPS // 2}
    assert report["generators"]["generator"]["widths"] == slim
    assert report["generators"]["generator"]["measured_latency_ms"] is None  # another device
    stamped = read_known(onnx.load(run / "generator.onnx"), "generator.onnx")
    assert stamped.format["output_range"] == (-1, 1)
    assert sorted(p.name for p in (run / "samples").iterdir()) == [f"step-{STEPS:06d}.png"]


@pytest.mark.parametrize("method", ["decig", "hypernet"])
@pytest.mark.parametrize("step", [STEPS // 4, STEPS // 2, STEPS - 2])
def test_a_killed_run_ends_with_the_same_files(tmp_path: Path, step: int, method: str) -> None:
    recipe = write(tmp_path, "paired", "ema = 0.5")
    asked = wanted(table_of(recipe), method=method)
    train(recipe, tmp_path / "whole", asked)
    batch, taken = Paired.batch, []

    def dying(task: Paired, number: int) -> object:
        taken.append(number)
        if number == step and len(taken) > 1:  # the first batch is only looked at
            raise SystemExit
        return batch(task, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Paired, "batch", dying)
        with pytest.raises(SystemExit):
            train(recipe, tmp_path / "cut", asked)
    assert taken[1:] == list(range(step + 1))
    assert (tmp_path / "cut/hinges.json").exists() == (step >= STEPS // 2)
    begun = first_steps(lambda: train(recipe, tmp_path / "cut", asked, resume=True))
    half = STEPS // 2
    stage_one = {"state.pt": step} if step < half else {}
    assert begun == stage_one | {"student.pt": max(0, step - half)}
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize("method", ["decig", "hypernet"])
def test_a_picture_s_own_statistics_stay_with_what_is_condensed(
    tmp_path: Path, method: str
) -> None:
    write(tmp_path)
    file = tmp_path / "recipe.toml"
    text = file.read_text().replace("[source]", "[source]\nbatch_statistics = true")
    file.write_text(text.replace("batch = 2", "batch = 1"))
    recipe = load_recipe(tmp_path)
    train(recipe, tmp_path / "run", wanted(table_of(recipe), method=method))
    for name in ("condensed", "start", "."):
        nodes = onnx.load(tmp_path / "run" / name / "generator.onnx").graph.node
        kinds = {node.op_type for node in nodes}
        assert "InstanceNormalization" in kinds and "BatchNormalization" not in kinds
    start, condensed = (
        tmp_path / "run" / name / "generator.onnx" for name in ("start", "condensed")
    )
    assert sum(widths_of(start).values()) < sum(widths_of(condensed).values())
    whole, plan = load_model(condensed), Plan.load(condensed.with_suffix(".plan.json"))
    assert difference(start, masked_graph(whole.proto, analyse(whole.proto), plan)) < 1e-4


@pytest.mark.parametrize("embedding", [0, 2])
def test_latents_shrink_until_a_latency_is_met(tmp_path: Path, embedding: int) -> None:
    settings = f"hypernet = {{ shrink = 0.75, embedding = {embedding} }}\nema = 0.5"
    recipe = write(tmp_path, "paired", settings)
    table = table_of(recipe)
    asked, run = wanted(table, 2.0, "hypernet"), tmp_path / "run"
    train(recipe, run, asked)
    slim, whole = widths_of(run / "generator.onnx"), widths_of(run / "condensed/generator.onnx")
    assert asked.target_ms is not None and whole == dict(table.groups)
    assert Predictor(table).predict_ms(slim) <= asked.target_ms * 1.001

    curves = json.loads((run / "hinges.json").read_text())["generators"]["generator"]
    gone = {name: curve["magnitudes"].count(0) for name, curve in curves.items()}
    assert sum(gone.values()) > 0
    for name, curve in curves.items():
        assert curve["channels"] == {"before": whole[name], "after": slim[name]}
        assert curve["hinge"] is None and len(curve["magnitudes"]) == whole[name]
        assert whole[name] - gone[name] >= FLOOR
    # The channels whose latents are zero are read by nobody, whatever the mean remembers.
    condensed = load_model(run / "condensed/generator.onnx")
    read = channel_norms(analyse(condensed.proto), initializers(condensed.proto), ("read",))
    assert {name: int((read[name] == 0).sum()) for name in gone} == gone

    report = json.loads((run / "report.json").read_text())
    assert report["method"] == "hypernet"
    assert report["steps"] == {"condense": STEPS * 3 // 4, "teach": STEPS // 4}
    assert json.loads((run / "training.json").read_text())["condense"]["method"] == "hypernet"


@pytest.mark.parametrize("method", ["decig", "hypernet"])
def test_for_no_device_multiply_accumulates_are_counted(tmp_path: Path, method: str) -> None:
    recipe, run = write(tmp_path), tmp_path / "run"
    train(recipe, run, CondensingGoal(None, Wanted("macs", 0.4), method))
    slim, whole = (count(load_model(run / f).proto).macs for f in (GENERATOR, WHOLE))
    assert slim <= 0.4 * whole
    report = json.loads((run / "report.json").read_text())
    assert report["target_macs"] == pytest.approx(0.4 * whole, abs=1)
    assert report["target_latency_ms"] is report["original_latency_ms"] is None
    assert report["generators"]["generator"]["predicted_macs"] == pytest.approx(slim, rel=0.01)
    assert not (run / "profile.json").exists()


def test_without_a_target_the_hinges_decide(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    recipe = write(tmp_path, "paired", 'condense = { share = 0.75, weighting = "exponential" }')
    table = table_of(recipe)
    train(recipe, tmp_path / "run", wanted(table, None), tensorboard=True)
    for stage in ("condense", "teach"):
        assert len(list((tmp_path / "run/tensorboard" / stage).iterdir())) == 1
    curves = json.loads((tmp_path / "run/hinges.json").read_text())["generators"]["generator"]
    assert any(curve["hinge"] for curve in curves.values())
    for curve in curves.values():
        least = curve["hinge"] or curve["channels"]["before"]
        assert least <= curve["channels"]["after"] <= curve["channels"]["before"]
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["target_latency_ms"] is None
    assert report["steps"] == {"condense": STEPS * 3 // 4, "teach": STEPS // 4}


@pytest.mark.parametrize("method", ["decig", "hypernet"])
@pytest.mark.parametrize("task", ["unpaired", "label_map"])
def test_other_tasks_are_condensed(tmp_path: Path, task: str, method: str) -> None:
    settings = ['spectral_norm = ["4", "6"]'] if task == "label_map" else []
    recipe = write(tmp_path, task, *settings)
    table = table_of(recipe)
    asked, run = wanted(table, 2.0, method), tmp_path / "run"
    train(recipe, run, asked)
    names = ["generator", "generator_back"] if task == "unpaired" else ["generator"]
    assert sorted(p.stem for p in run.glob("*.onnx")) == names
    for name in names:
        assert asked.target_ms is not None
        widths = widths_of(run / f"{name}.onnx")
        assert Predictor(table).predict_ms(widths) <= asked.target_ms * 1.001
        channels = recipe.input_shape[1]
        start, condensed = (run / f"{folder}/{name}.onnx" for folder in ("start", "condensed"))
        if method == "decig":
            assert difference(start, condensed, channels) < 0.2
        assert paint(run / f"{name}.onnx", channels).shape == (1, 3, 32, 32)


def test_a_training_that_goes_on_is_not_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow minute must not refuse to go on with what was trained."""
    recipe, run = write(tmp_path), tmp_path / "run"
    table = table_of(recipe)
    predictor = Predictor(table)
    least = predictor.predict_ms(fastest_widths(predictor, predictor.groups))
    pace, speedup = [0.5], table.as_it_is_ms / least * 1.2

    def here(table: CostTable, *_: object, **__: object) -> Target:
        return Target(table, FakeBench(lambda proto: pace[0] * least))

    monkeypatch.setattr(Target, "of", here)
    train(recipe, run, wanted(table, speedup))
    pace[0] = 2.0
    train(recipe, run, wanted(table, speedup), resume=True)
    with pytest.raises(TargetMissedError, match="as measured"):
        train(recipe, tmp_path / "new", wanted(table, speedup))


def test_nothing_else_goes_on_in_the_folder(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    table = table_of(recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_scratch.Condensation, "run", lambda _, state: state.write_bytes(b""))
        train(recipe, tmp_path / "run", wanted(table))
    with pytest.raises(BadInputError, match=r"begun with condense\.target_ms = [0-9.]+, not None"):
        train(recipe, tmp_path / "run", wanted(table, None), resume=True)
    with pytest.raises(BadInputError, match=r"condense\.method = None, not 'hypernet'"):
        train(recipe, tmp_path / "run", wanted(table, method="hypernet"), resume=True)
