import ctypes

import numpy as np
import onnxruntime as ort
import pytest

from decig.device import cuda
from decig.device.measure import measure_nodes
from decig.device.runs import prepare_run
from decig.device.session import DeviceOptions, open_session, random_feeds
from decig.device.timing import measure_interleaved
from decig.errors import DecigError
from decig.graph.model import normalise

from .graphs import style_net

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

    def bind_output(self, name, device, device_id):
        assert (device, device_id) == ("cuda", 1)
        self.bound.append(name)


class FakeSession:
    def __init__(self) -> None:
        self.binding, self.runs = FakeBinding(), 0

    def io_binding(self):
        return self.binding

    def get_outputs(self):
        return [type("Output", (), {"name": "y"})]

    def run_with_iobinding(self, binding):
        assert binding is self.binding
        self.runs += 1


@pytest.fixture
def host_memory(monkeypatch):
    """Let values stay where they are: there may be no GPU."""
    monkeypatch.setattr(
        ort.OrtValue, "ortvalue_from_numpy", staticmethod(lambda array, device, index: array)
    )


def test_events_around_the_run_in_one_stream(host_memory):
    library, session = FakeLibrary(), FakeSession()
    clock = cuda.CudaRuntime(library, 1)
    run = cuda.BoundRun(session, {"x": np.zeros(1)}, 1, clock)
    assert session.binding.bound == ["x", "y"]
    library.calls.clear()
    assert run.time_us() > 0
    assert library.calls == [
        "cudaEventRecord",
        "cudaEventRecord",
        "cudaEventSynchronize",
        "cudaEventElapsedTime",
    ]
    found = measure_interleaved({"a": run}, min_runs=3, max_runs=3, warm_up=1)
    assert session.runs == 1 + 1 + 3
    assert found["a"].median == pytest.approx(1000.0)


def test_without_a_clock_of_its_own_the_host_times_it(host_memory):
    session = FakeSession()
    run = cuda.BoundRun(session, {"x": np.zeros(1)}, 1)
    assert run.time_us() is None
    found = measure_interleaved({"a": run}, min_runs=3, max_runs=3, warm_up=0)
    assert found["a"].median > 0
    assert session.runs == 3


def test_failures_name_the_function():
    with pytest.raises(DecigError, match="cudaStreamCreate failed with status 35"):
        cuda.CudaRuntime(FakeLibrary("cudaStreamCreate"))


def test_a_machine_without_the_library(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    cuda.runtime.cache_clear()
    try:
        assert cuda.runtime(7) is None
    finally:
        cuda.runtime.cache_clear()


def test_a_machine_without_a_gpu(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr("subprocess.run", missing)
    assert cuda.gpu_name() is None


@needs_cuda
def test_real_runs_leave_copies_out():
    options, proto = DeviceOptions("cuda"), normalise(style_net())
    session = open_session(proto, options)
    run = prepare_run(session, random_feeds(session), options)
    assert measure_interleaved({"a": run}, max_runs=20)["a"].median > 0
    names = [node.name for node in proto.graph.node]
    found = measure_nodes(proto, names, options)
    assert sum(found.nodes.values()) > 0
    assert cuda.gpu_name()
