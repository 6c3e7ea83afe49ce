import contextlib
import ctypes
import json
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest

from decig.device.measure.nodes import measure_nodes
from decig.device.run import cuda
from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.device.run.timing import Timing, measure_interleaved
from decig.errors import BadInputError, DecigError
from decig.graph.model import normalise
from tests.device.graphs import style_net
from tests.samples import PIXELS, decig, write_generator, write_photos

needs_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers(),
    reason="the installed ONNX Runtime has no CUDA provider",
)


class FakeLibrary:
    """A CUDA runtime whose clock advances by a millisecond with every event."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[str] = []
        self.failing = failing
        self.times: dict[int, float] = {}

    def __getattr__(self, name: str):
        def call(*arguments):
            self.calls.append(name)
            if name == self.failing:
                return 35
            if name in ("cudaStreamCreate", "cudaEventCreate"):
                arguments[0]._obj.value = 1000 + len(self.calls)
            if name == "cudaDeviceGetPCIBusId":
                arguments[0].value = b"0000:8B:00.0"
            if name == "cudaEventRecord":
                self.times[arguments[0].value] = float(len(self.calls))
            if name == "cudaEventElapsedTime":
                start, end = (self.times[event.value] for event in arguments[1:])
                arguments[0]._obj.value = end - start
            return 0

        return call


class FakeBinding:
    def __init__(self) -> None:
        self.bound: list[str] = []

    def bind_ortvalue_input(self, name, value):
        self.bound.append(name)

    def bind_ortvalue_output(self, name, value):
        assert value == ([1, 3], np.float32, "cuda", 1)
        self.bound.append(name)

    def bind_output(self, name, device, device_id):
        assert (device, device_id) == ("cuda", 1)
        self.bound.append(name)


class FakeSession:
    def __init__(self) -> None:
        self.binding, self.runs, self.broken = FakeBinding(), 0, False

    def io_binding(self):
        return self.binding

    def get_outputs(self):
        fixed = {"name": "y", "type": "tensor(float)", "shape": [1, 3]}
        free = {"name": "z", "type": "tensor(float)", "shape": ["batch", 3]}
        return [type("Output", (), each) for each in (fixed, free)]

    def run_with_iobinding(self, binding):
        assert binding is self.binding
        if self.broken:
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : no memory")
        self.runs += 1


@pytest.fixture
def host_memory(monkeypatch):
    """Let values stay where they are: there may be no GPU."""
    monkeypatch.setattr(
        ort.OrtValue, "ortvalue_from_numpy", staticmethod(lambda array, device, index: array)
    )
    monkeypatch.setattr(
        ort.OrtValue, "ortvalue_from_shape_and_type", staticmethod(lambda *said: said)
    )


def test_events_around_the_run_in_one_stream(host_memory):
    library, session = FakeLibrary(), FakeSession()
    clock = cuda.CudaRuntime(library, 1)
    run = cuda.BoundRun(session, {"x": np.zeros(1)}, 1, clock)
    assert session.binding.bound == ["x", "y", "z"]
    library.calls.clear()
    assert run.time_us() > 0
    assert library.calls == [
        "cudaEventRecord",
        "cudaEventRecord",
        "cudaEventSynchronize",
        "cudaEventElapsedTime",
    ]
    found = measure_interleaved({"a": run}, Timing(min_runs=3, max_runs=3, warm_up=1))
    assert session.runs == 1 + 1 + 3
    assert found["a"].median == pytest.approx(1000.0)


def test_without_a_clock_of_its_own_the_host_times_it(host_memory):
    session = FakeSession()
    run = cuda.BoundRun(session, {"x": np.zeros(1)}, 1)
    assert run.time_us() is None
    found = measure_interleaved({"a": run}, Timing(min_runs=3, max_runs=3, warm_up=0))
    assert found["a"].median > 0
    assert session.runs == 3


def test_a_run_that_fails_is_one_line(host_memory):
    session = FakeSession()
    run = cuda.BoundRun(session, {}, 1)
    session.broken = True
    with pytest.raises(BadInputError, match="cannot run the model: no memory"):
        run()


def test_failures_name_the_function():
    with pytest.raises(DecigError, match="cudaStreamCreate failed with status 35"):
        cuda.CudaRuntime(FakeLibrary("cudaStreamCreate"))


def test_a_failure_says_what_the_library_says_of_it():
    library = FakeLibrary("cudaSetDevice")
    library.cudaGetErrorString = lambda status: b"no CUDA-capable device is detected"
    with pytest.raises(DecigError, match=r"cudaSetDevice failed with status 35 \(no CUDA-capable"):
        cuda.CudaRuntime(library)


def test_a_machine_without_the_library(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    cuda._library.cache_clear()
    cuda.runtime.cache_clear()
    try:
        assert cuda.runtime(7) is None
    finally:
        cuda._library.cache_clear()
        cuda.runtime.cache_clear()


@pytest.mark.parametrize("failing", ["", "cudaStreamCreate"])
def test_the_current_gpu_stays_what_it_was(failing):
    library, chosen = FakeLibrary(failing), []

    def current(number):
        number._obj.value = 3
        return 0

    library.cudaGetDevice = current
    library.cudaSetDevice = chosen.append
    with pytest.raises(DecigError) if failing else contextlib.nullcontext():
        cuda.CudaRuntime(library, 1)
    assert chosen == [1, 3]


@pytest.mark.parametrize(
    ("library", "asked"),
    [(FakeLibrary(), "0000:8B:00.0"), (FakeLibrary("cudaDeviceGetPCIBusId"), "1"), (None, "1")],
)
def test_a_gpu_is_named_by_its_place_and_not_by_its_number(monkeypatch, library, asked):
    """Its number is one among the GPUs of CUDA_VISIBLE_DEVICES, which nvidia-smi does not read."""
    commands = []

    def run(command, **_):
        commands.append(command)
        return SimpleNamespace(stdout="H100, 570.1\n")

    monkeypatch.setattr(cuda, "_library", lambda: library)
    monkeypatch.setattr("subprocess.run", run)
    assert cuda.gpu_name(1) == "H100, 570.1"
    assert f"--id={asked}" in commands[0]


def test_a_machine_without_a_gpu(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr("subprocess.run", missing)
    assert cuda.gpu_name() is None


@needs_cuda
def test_real_runs_leave_copies_out():
    device, proto = Device.of("cuda"), normalise(style_net())
    session = device.open(proto)
    run = device.prepare(session, random_feeds(session))
    assert measure_interleaved({"a": run}, Timing(max_runs=20))["a"].median > 0
    names = [node.name for node in proto.graph.node]
    found = measure_nodes(proto, names, device)
    assert sum(found.nodes.values()) > 0
    assert cuda.gpu_name()


@needs_cuda
def test_a_captured_graph_runs_in_the_memory_it_was_captured_with():
    device = Device.of("cuda", {"enable_cuda_graph": "1"})
    session = device.open(normalise(style_net()))
    run = device.prepare(session, random_feeds(session))
    assert measure_interleaved({"a": run}, Timing(max_runs=20))["a"].median > 0


@needs_cuda
def test_from_a_table_to_a_file_that_is_checked(tmp_path):
    model = write_generator(tmp_path / "m.onnx", size=64, width=32)
    table, half, out = tmp_path / "table.json", tmp_path / "half.onnx", tmp_path / "out.onnx"
    device = ["--ep", "cuda", "--json"]
    result = decig("profile", model, "-o", table, "--quick", "--ep", "cuda")
    assert result.exit_code == 0, result.stderr
    found = json.loads(table.read_text())
    assert found["device"]["accelerator"]
    assert found["timed_alone"] is True
    result = decig("slice", model, "-o", half, "--profile", table, "--keep", "0.5", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["predicted_latency_ms"] > 0
    photos = write_photos(tmp_path / "photos")
    fewer = ["--precision", "fp16", "--calibration", photos, "--min-psnr", "20", *PIXELS]
    result = decig("export", half, "-o", out, *fewer, *device)
    assert result.exit_code == 0, result.stderr
    result = decig("check", out, "--reference", half, "--data", photos, *device, *PIXELS)
    assert result.exit_code == 0, result.stderr
