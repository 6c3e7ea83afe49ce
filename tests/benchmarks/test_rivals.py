"""What is compared beside the contest's own rows: cuts by onnxsim, and fewer bits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from competitors import GENEROSITY, cutting, environment, too_slow
from competitors.cutting import cut, match_all
from competitors.family import family_of
from competitors.quantising import quantise
from competitors.students import pruned
from competitors.teachers import load_teacher
from contest import Contest
from goals import Effort, Target, Teacher
from jobs import Job
from onnx import helper
from rivals import CALIBRATION, RIVALS, Rivals, _write_inputs
from runtimes import OnnxRuntime
from torch import nn

from decig.device.run.timing import Latency
from decig.errors import BadInputError, DecigError
from decig.files import write_bytes, write_json
from decig.graph.cost import count
from decig.graph.model import load_model, save_model
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.training.trainable.module import build_module
from tests.benchmarks.small import SIDE, write_recipe
from tests.samples import write_generator, write_photos


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe") / "recipe")


def inputs(number: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (number, 3, SIDE, SIDE)).astype(np.float32)


def test_what_onnxsim_cuts_is_smaller_runs_and_can_be_trained(recipe: Path, tmp_path: Path) -> None:
    whole, file = recipe / "generator.onnx", tmp_path / "cut.onnx"
    sizes = []
    for share in (0.25, 0.75):
        write_bytes(file, cut(whole, share).SerializeToString())
        loaded = load_model(file).proto
        sizes.append(count(loaded).macs)
        assert OnnxRuntime().run(file, [inputs(1)]).shape == (1, 3, SIDE, SIDE)
        assert list(build_module(loaded, input_size=(SIDE, SIDE)).parameters())
    assert sizes[1] < sizes[0] < count(load_model(whole).proto).macs


def test_a_graph_without_a_channel_to_remove_is_an_error(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    shape = [1, 3, 8, 8]
    values = [helper.make_tensor_value_info(name, 1, shape) for name in "xy"]
    graph = helper.make_graph([node], "one", values[:1], values[1:], [weight])
    save_model(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "a"
    )
    with pytest.raises(DecigError, match="finds no channel to remove"):
        cut(tmp_path / "a", 0.5)


@pytest.mark.parametrize(
    ("decig_us", "share"), [(2000, 0.05), (500, 0.5), (490, 0.5), (470, 0.55), (10, 0.95)]
)
def test_the_least_share_that_is_as_fast_is_cut(
    decig_us: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(calls: dict[str, object], timing: object) -> dict[str, Latency]:
        cuts = {name: 1000 * (1 - float(name)) for name in calls if not name.startswith("own")}
        found = cuts | {"own 4x": float(decig_us)}
        return {name: Latency(us, 1.0, us, 10) for name, us in found.items()}

    monkeypatch.setattr(cutting, "measure_interleaved", measure)
    monkeypatch.setattr(cutting, "session_call", lambda model: None)
    monkeypatch.setattr(cutting, "cut", lambda model, share: None)
    found = match_all(Path("m.onnx"), {"4x": Path("own.onnx")})
    assert found["4x"] == (share, pytest.approx(1000 * (1 - share) / decig_us))


def test_shares_that_cannot_be_cut_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_some(model: Path, share: float) -> float:
        if share > limit:
            raise BadInputError(f"{model}: onnxsim cannot prune it")
        return share

    def measure(calls: dict[str, object], timing: object) -> dict[str, Latency]:
        times = {name: 100.0 if name.startswith("own") else 400.0 for name in calls}
        return {name: Latency(us, 1.0, us, 10) for name, us in times.items()}

    monkeypatch.setattr(cutting, "measure_interleaved", measure)
    monkeypatch.setattr(cutting, "session_call", lambda model: None)
    monkeypatch.setattr(cutting, "cut", cut_some)
    limit = 0.1
    assert match_all(Path("m.onnx"), {"4x": Path("own.onnx")}) == {"4x": (0.05, 4.0)}
    limit = 0.0
    with pytest.raises(DecigError, match="cannot prune it"):
        match_all(Path("m.onnx"), {"4x": Path("own.onnx")})


def test_a_peer_that_is_not_as_fast_as_asked_says_so() -> None:
    assert too_slow("onnxsim", GENEROSITY) is None
    assert too_slow("onnxsim", 1.704) == (
        "not that fast: the fastest that onnxsim can make takes 1.70 times as long"
    )


def test_onnx_runtime_quantises_the_teacher(recipe: Path, tmp_path: Path) -> None:
    whole, out = recipe / "generator.onnx", tmp_path / "eight.onnx"
    quantise(whole, inputs(4), out)
    kinds = {node.op_type for node in onnx.load(out).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    pictures = [OnnxRuntime().run(file, [inputs(1)]) for file in (whole, out)]
    assert 0 < np.abs(pictures[0] - pictures[1]).max() < 1


def test_what_cannot_be_quantised_is_one_line(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(DecigError, match="ONNX Runtime cannot quantise it"):
        quantise(recipe / "generator.onnx", inputs(1)[:, :1], tmp_path / "eight.onnx")
    assert not (tmp_path / "eight.onnx").exists()


def test_torch_pruning_prunes_a_recipes_net_to_the_uniform_widths(recipe: Path) -> None:
    family, source = family_of(recipe), resolve(str(recipe))
    teacher = load_teacher(source.model.path, family, source.require_pixels())
    for trunk in (5, 8, 11):
        nets = pruned(teacher, trunk / family.widest), family.make(trunk)
        shapes = [{n: p.shape for n, p in net.named_parameters()} for net in nets]
        assert shapes[0] == shapes[1]
    assert isinstance(nets[0], nn.Module) and nets[0](torch.zeros(1, 3, 64, 64)).shape[1] == 3


def contest(tmp_path: Path, model: Path) -> Contest:
    write_photos(tmp_path / "photos", 3, 40, 40)
    teacher = Teacher(model, PixelFlags((-1, 1), (-1, 1), channel_order="rgb"), tmp_path / "photos")
    targets = [Target(4, "x"), Target(8, "x")]
    return Contest(teacher, targets, ["decig"], Effort(1.0), 1, tmp_path / "out")


def lead(given: Contest, target: Target) -> None:
    """Leave what a run of decig leaves."""
    exported = given.exported("decig", target, None)
    exported.parent.mkdir(parents=True)
    exported.write_bytes(b"the exported file")
    run = given.folder("decig", target, None)
    (run / "run").mkdir(parents=True)
    (run / "run" / "student.onnx").write_bytes(b"the student")
    write_json(run / "done.json", {"asked": {}, "wall_s": 77.0, "cpu_s": 5.0})


def test_calibration_inputs_are_training_images_as_the_teacher_takes_them(tmp_path: Path) -> None:
    given = contest(tmp_path, write_generator(tmp_path / "small.onnx", size=32))
    _write_inputs(given, tmp_path / "inputs.npy")
    found = np.load(tmp_path / "inputs.npy")
    assert found.shape == (3, 3, 32, 32) and found.dtype == np.float32
    assert CALIBRATION > 3 and found.min() < 0 <= found.max() <= 1


def test_rows_follow_decigs_results_and_are_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = contest(tmp_path, write_generator(tmp_path / "small.onnx", size=32))
    lead(given, given.targets[0])
    matched: list[str] = []

    def match(model: Path, results: dict[str, Path]) -> dict[str, tuple[float, float]]:
        matched.extend(results)
        return dict.fromkeys(results, (0.5, 1.01))

    def run(job: Job) -> None:
        """Leave what the process of a job would leave."""
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / ("student.xml" if "openvino" in job.name else "student.onnx")).touch()
        if "onnxsim" in job.name:
            report = {"training_seconds": 60.0, "steps": 9, "sparsity": 0.5}
            write_json(job.folder / "report.json", report)
        write_json(job.folder / "done.json", {"asked": job.asked, "wall_s": 1.0, "cpu_s": 1.0})
        made.append(job)

    made: list[Job] = []
    monkeypatch.setattr(cutting, "match_all", match)
    monkeypatch.setattr(Job, "run", run)
    rows = Rivals(given, RIVALS, Path(sys.executable))
    assert rows.entries() == []
    assert rows.make() == []
    names = ["onnxruntime-int8", "openvino-int8", "decig-int8 4x", "onnxsim 4x", "onnxsim-tuned 4x"]
    assert [job.name for job in made] == names and matched == ["4x"]
    commands = [" ".join(map(str, job.command)) for job in made]
    assert "--precision int8 --calibration" in commands[2]
    assert str(given.exported("decig", given.targets[0], None)) not in commands[2]
    assert "--sparsity 0.5" in commands[3] and "--seconds 77.0" in commands[4]
    found = {entry.name: entry for entry in rows.entries()}
    assert sorted(found) == sorted(" ".join(reversed(name.split())) for name in names)
    assert found["4x onnxsim-tuned"].notes == {"minutes": 1.0, "steps": 9, "sparsity": 0.5}
    assert not (given.out / "calibration.npy").exists()
    assert rows.make() == [] and len(made) == 5 and matched == ["4x"]
    lead(given, given.targets[1])
    rows.make()
    assert [job.name for job in made[5:]] == [
        f"{n} 8x" for n in ("decig-int8", "onnxsim", "onnxsim-tuned")
    ]
    assert matched == ["4x", "8x"]


def test_an_environment_that_pip_cannot_fill_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        called.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(environment.subprocess, "run", run)
    monkeypatch.setattr(environment.venv, "create", lambda folder, with_pip: None)
    with pytest.raises(SystemExit, match="pip cannot install a==1, b==2"):
        environment.make(tmp_path / "venv", ["a==1", "b==2"])
    assert called[0][0] == str(tmp_path / "venv" / "bin" / "python")
