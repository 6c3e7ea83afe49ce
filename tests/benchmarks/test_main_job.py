"""The pieces of the benchmarks, on nets and budgets of a few seconds."""

import sys
from pathlib import Path

import main_job
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from competitors.family import STYLE
from competitors.matching import PeerLatency
from competitors.students import pruned
from competitors.style_net import StyleNet, widths
from competitors.teachers import load_teacher
from competitors.training import distillation, write_onnx
from contest import Contest
from goals import Target
from judge import Entry, Judge, Row, table
from PIL import Image
from verdicts import faster_at_equal_ssim, verdicts

from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.errors import DecigError
from decig.quality import features
from decig.quality.parity import max_abs_diff
from decig.training.config import Config
from decig.training.loop.schedule import Budget
from tests.benchmarks.small import SIDE, table_of, write_settings
from tests.samples import write_generator, write_photos

PIXELS = PixelFormat((0, 255), (0, 255))


def run(model: object, image: np.ndarray) -> np.ndarray:
    session = Device.of().open(model)
    return session.run(None, {session.get_inputs()[0].name: image})[0]


@pytest.fixture(scope="module")
def teacher(shared_suite: Path) -> StyleNet:
    return load_teacher(shared_suite / "udnie.onnx", STYLE, PIXELS)


def test_the_teacher_is_checked(shared_suite: Path) -> None:
    with pytest.raises(DecigError, match="not the peers' net"):
        load_teacher(shared_suite / "espcn_x3.onnx", STYLE, PIXELS)


@pytest.mark.parametrize("trunk", [4, 21, 64, 127])
def test_pruning_gives_the_uniform_widths(teacher: StyleNet, trunk: int) -> None:
    shapes = [
        {n: p.shape for n, p in net.named_parameters()}
        for net in (pruned(teacher, trunk / 128), StyleNet(trunk))
    ]
    assert shapes[0] == shapes[1]
    assert pruned(teacher, trunk / 128)(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_pruning_keeps_weights_of_the_teacher(teacher: StyleNet) -> None:
    kept = pruned(teacher, 0.5).c1.conv.weight
    own = teacher.c1.conv.weight
    assert widths(64)[0] == len(kept) == 16
    assert all((own == channel).all(dim=(1, 2, 3)).any() for channel in kept)


def test_screened_graphs_are_the_nets_that_are_trained(tmp_path: Path) -> None:
    shape = [1, 3, 32, 32]
    image = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    peers = PeerLatency(shape)
    torch.manual_seed(0)
    narrow = peers.graph(9)
    torch.manual_seed(0)
    write_onnx(StyleNet(9), shape, tmp_path / "net.onnx")
    assert max_abs_diff(run(tmp_path / "net.onnx", image), run(narrow, image)) < 1e-5


def test_peers_train_in_decigs_loop(shared_suite: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "noise.png")
    (tmp_path / "quick.toml").write_text('[distil]\ncrop = 64\n[train]\nprecision = "fp32"\n')
    config = Config.read(tmp_path / "quick.toml")
    student = StyleNet(8)
    before = [p.detach().clone() for p in student.parameters()]
    engine = distillation(
        student, shared_suite / "udnie.onnx", tmp_path, PIXELS, config, Budget(steps=2)
    )
    engine.run()
    assert engine.step == 2
    trained = engine.means["student"].parameters()
    assert any((p != q).any() for p, q in zip(before, trained, strict=True))


def test_peers_learn_from_one_picture_a_step() -> None:
    torch.manual_seed(0)
    net, (image, wanted) = StyleNet(16), 255 * torch.rand(2, 1, 3, 32, 32)
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        net.zero_grad()
        net.to(memory_format=order)
        (net(image.to(memory_format=order)) - wanted).abs().mean().backward()
        found.append({name: p.grad.clone() for name, p in net.named_parameters()})
    for name, gradient in found[1].items():
        assert (gradient - found[0][name]).norm() <= 1e-3 * found[0][name].norm()


def row(method: str, ssim: float, target: str = "4x", ms: float = 5.0) -> Row:
    figures = {"ssim": ssim, "psnr_db": 20 + ssim, "edge_difference": 0.1, "feature_distance": 0.2}
    figures |= {"kid": 0.012, "kid_standard_error": 0.003}
    latency = Latency(1000 * ms, 10.0, 1100 * ms, 30)
    return Row(target, method, latency, 4.0, 10**9, 1000, 0.07, 0.001, figures, {"steps": 7})


def said(*rows: Row) -> list[str]:
    return verdicts(rows, peers=("uniform", "torch-pruning"), generosity=1.03)


def test_verdicts_name_the_best_peer() -> None:
    lines = said(row("decig", 0.8), row("uniform", 0.7), row("torch-pruning", 0.9))
    assert (
        lines[0] == "- 4x, SSIM: decig is NOT better than the best peer (torch-pruning), by -0.100."
    )
    assert (
        "better than the best peer (uniform), by +0.100"
        in said(row("decig", 0.8), row("uniform", 0.7))[0]
    )


def test_verdicts_name_a_peer_that_had_more_time() -> None:
    lines = said(row("decig", 0.8), row("uniform", 0.7, ms=5.5))
    assert lines[0] == "- 4x: a peer takes 1.10 times as long as decig's."


@pytest.mark.parametrize(
    ("ssim", "peers_ms"),
    [
        (0.9, 40.0),
        (0.8, 20.0),
        (0.85, 20.0 * 2**0.5),
        (0.95, 40.0 * 2**0.5),  # between the slowest peer and the teacher
        (1.0, 80.0),
        (0.3, 20.0),  # the fastest peer is better already
    ],
)
def test_equal_pictures_are_looked_up_between_the_best_peers(ssim: float, peers_ms: float) -> None:
    peers = [
        row("uniform", 0.9, ms=40.0),
        row("torch-pruning", 0.7, ms=40.0),
        row("uniform", 0.6, ms=20.0),
        row("torch-pruning", 0.8, ms=20.0),
    ]
    teacher = row("teacher", 1.0, ms=80.0)
    gain = faster_at_equal_ssim(row("decig", ssim, ms=10.0), peers, teacher)
    assert gain == pytest.approx(peers_ms / 10.0)


def test_verdicts_say_how_much_faster_at_equal_pictures() -> None:
    rows = [row("teacher", 1.0, ms=20.0), row("uniform", 0.7), row("decig", 0.7)]
    assert said(*rows)[-1].endswith("1.00 times faster than the peers, short of 2.5.")
    rows[-1] = row("decig", 1.0)
    assert said(*rows)[-1].endswith("4.00 times faster than the peers.")


def test_the_table_has_a_cell_for_every_column() -> None:
    lines = table([row("decig", 0.8)]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| 5.00 (0.01) | 4.00 | 0.800 | 20.80 | 12.00 (3.00) | 0.070 |" in lines[2]


def test_a_missing_network_for_judging_is_found_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(_: Contest) -> None:
        raise AssertionError("trains although nothing could be judged")

    monkeypatch.setattr(Contest, "train", train)
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    model, data = write_generator(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    given = ["--model", model, "--data", data, "--out", tmp_path / "out"]
    result = CliRunner().invoke(main_job.main, [str(each) for each in given])
    assert result.exit_code == 1
    assert "judging pictures needs efficientnet_lite_pytorch: pip install" in result.output


def test_the_kernel_distance_of_the_judge(tmp_path: Path) -> None:
    if (package := features.lacking()) is not None:
        pytest.skip(f"needs {package}: pip install 'decig[quality]'")
    teacher, other = (write_generator(tmp_path / f"{i}.onnx", seed=i, size=32) for i in (0, 1))
    judge = Judge(teacher, write_photos(tmp_path / "photos", 4), PixelFormat((0, 1), (0, 1)))
    entries = [Entry("1x", "copy", teacher, {}), Entry("1x", "other", other, {})]
    rows = judge.rows(entries, 0.1)
    assert "kid" not in rows[0].similarity
    assert rows[1].similarity["kid"] == pytest.approx(0, abs=1e-9)
    assert rows[2].similarity["kid"] > 0.001


def test_names_of_targets_and_entries() -> None:
    assert Target(4.0, "x").options() == ["--target-speedup", "4"]
    assert Target(16.5, "ms").options() == ["--target-latency", "16.5ms"]
    assert Entry("", "teacher", Path("a.onnx"), {}).name == "teacher"


class FakeLatency(PeerLatency):
    """Peers whose latency is known: stairs of 16 channels; the result takes 1."""

    def __init__(self, unit: float) -> None:
        self.unit, self.family = unit, STYLE
        self.screened = {trunk: self.cost(trunk) / self.cost(32) for trunk in range(4, 129, 4)}

    def cost(self, trunk: int) -> float:
        return -(-trunk // 16) * self.unit

    def ratios(self, result: Path, trunks: list[int], max_seconds: float) -> dict[int, float]:
        return {trunk: self.cost(trunk) for trunk in trunks}


@pytest.mark.parametrize(
    ("unit", "trunk"), [(0.1, 128), (0.2, 80), (0.25, 64), (0.26, 48), (1.03, 16), (5.0, 16)]
)
def test_a_peer_gets_the_widest_net_that_is_as_fast(unit: float, trunk: int) -> None:
    assert FakeLatency(unit).match(Path("result.onnx")).trunk == trunk


def test_a_pessimistic_screening_is_corrected() -> None:
    peers = FakeLatency(0.2)
    peers.screened = {trunk: ratio * 1.5 for trunk, ratio in peers.screened.items()}
    assert peers.match(Path("result.onnx")).trunk == 80
    peers.screened = {trunk: ratio / 3 for trunk, ratio in peers.screened.items()}
    assert peers.match(Path("result.onnx")).trunk == 80


def test_other_teachers_have_results_of_their_own() -> None:
    assert main_job.file_name(Path("suite/udnie.onnx")) == "main_job"
    assert main_job.file_name(Path("suite/wave.onnx")) == "main_job_wave"


@pytest.mark.slow
def test_in_miniature(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "small.onnx", size=SIDE)
    for split in ("train", "val"):
        write_photos(tmp_path / "photos" / split, 5, 40, 40)
    given = ["--model", model, "--data", tmp_path / "photos", "--targets", 1.5, "--steps", 3]
    given += ["--input-range", "0,1", "--output-range", "0,1", "--timing-seconds", 0.1]
    given += ["--config", write_settings(tmp_path), "--profile", table_of(model, tmp_path)]
    given += ["--only", "decig", "--out", tmp_path / "out", "--results", tmp_path / "results"]
    result = CliRunner().invoke(main_job.main, [str(each) for each in given])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "results" / "main_job_small.md").read_text()
    assert "| 1.5x | decig |" in text
    assert (tmp_path / "results" / "main_job_small_1.5x.jpg").exists()
