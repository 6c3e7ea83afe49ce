"""Models run by ONNX Runtime, and by OpenVINO in a process of its own, for which a fake stands."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from jobs import BENCHMARKS, Job, run_all
from runtimes import OnnxRuntime, OpenVino

from decig.device.run.timing import Timing, measure_interleaved
from decig.errors import DecigError
from tests.samples import write_generator

FAKE = Path(__file__).parent / "fake_openvino"


@pytest.fixture
def openvino(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenVino]:
    monkeypatch.setenv("PYTHONPATH", ":".join([str(FAKE), *sys.path]))
    with OpenVino(Path(sys.executable)) as runtime:
        yield runtime


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_generator(tmp_path / "small.onnx", size=32)


def inputs(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((1, 3, 32, 32), np.float32) for _ in range(count)]


def test_both_runtimes_paint_the_same(openvino: OpenVino, model: Path) -> None:
    pictures = [runtime.run(model, inputs(3)) for runtime in (OnnxRuntime(), openvino)]
    assert pictures[0].shape == (3, 3, 32, 32)
    np.testing.assert_allclose(*pictures, atol=1e-5)


def test_both_runtimes_take_turns_in_one_timing(openvino: OpenVino, model: Path) -> None:
    calls = {each.name: each.prepare(model, inputs(1)[0]) for each in (OnnxRuntime(), openvino)}
    found = measure_interleaved(calls, Timing(min_runs=3, max_runs=3))
    assert {name: latency.runs for name, latency in found.items()} == {
        "ONNX Runtime": 3,
        "OpenVINO": 3,
    }
    assert openvino.version == "0.0-fake"


def test_what_reads_what(openvino: OpenVino) -> None:
    onnx, xml = Path("a.onnx"), Path("a.xml")
    assert [each.reads(onnx) for each in (OnnxRuntime(), openvino)] == [True, True]
    assert [each.reads(xml) for each in (OnnxRuntime(), openvino)] == [False, True]


def test_a_file_that_cannot_be_opened_is_one_line_and_the_process_goes_on(
    openvino: OpenVino, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(DecigError, match=r"^OpenVINO on gone\.onnx: FileNotFoundError: .*gone"):
        openvino.prepare(tmp_path / "gone.onnx", inputs(1)[0])
    assert openvino.run(model, inputs(1)).shape == (1, 3, 32, 32)


def test_an_environment_without_openvino_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr("runtimes._SERVER", FAKE / "gone.py")
    with pytest.raises(DecigError, match=r"^OpenVINO's process ended: .*can't open file"):
        OpenVino(Path(sys.executable))
    with pytest.raises(DecigError, match="does not start: No such file"):
        OpenVino(FAKE / "gone")


def test_the_script_that_quantises(
    monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path, openvino: OpenVino
) -> None:
    np.save(tmp_path / "inputs.npy", np.concatenate(inputs(4)))
    out = tmp_path / "job" / "student.xml"
    script = BENCHMARKS / "openvino_side" / "quantise.py"
    command = [sys.executable, script, model, tmp_path / "inputs.npy", out]
    run_all([Job("quantise", out.parent, command)], 1)
    np.testing.assert_allclose(
        openvino.run(out, inputs(1)), OnnxRuntime().run(model, inputs(1)), atol=1e-5
    )
