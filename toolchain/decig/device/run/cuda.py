"""Runs on an NVIDIA GPU, timed by the GPU: inputs and outputs stay in its memory.

A deployment's pictures mostly come from the GPU and go to it, and a copy over the bus would hide
how long the kernels take. Events of the CUDA runtime are recorded before and after a run in the
stream in which ONNX Runtime computes; the time between them is the time of the run.
"""

import contextlib
import ctypes
import ctypes.util
import io
import logging
import subprocess
from collections.abc import Mapping
from functools import cache

import numpy as np
import onnxruntime as ort

from decig.device.run.feeds import dtype_of
from decig.errors import BadInputError, DecigError, ort_reason

log = logging.getLogger(__name__)

_LIBRARIES = ("libcudart.so.13", "libcudart.so.12", "cudart64_13.dll", "cudart64_12.dll")
_DEVICE = "cuda"


class CudaRuntime:
    """The few functions of the CUDA runtime that timing needs, for one GPU.

    Attributes:
        stream: address of the stream in which runs are timed.
    """

    def __init__(self, library: ctypes.CDLL, device_id: int = 0) -> None:
        """Make the stream that every run uses; the current GPU stays what it was, for PyTorch.

        Args:
            library: the CUDA runtime.
            device_id: number of the GPU.

        Raises:
            DecigError: the driver refuses.
        """
        self._library = library
        current, stream = ctypes.c_int(), ctypes.c_void_p()
        self._call("cudaGetDevice", ctypes.byref(current))
        self._call("cudaSetDevice", device_id)
        try:
            self._call("cudaStreamCreate", ctypes.byref(stream))
            self.stream = int(stream.value or 0)
            self._start, self._end = self._event(), self._event()
        finally:
            self._call("cudaSetDevice", current.value)

    def start(self) -> None:
        """Record the start of a run in the stream."""
        self._call("cudaEventRecord", self._start, ctypes.c_void_p(self.stream))

    def stop_us(self) -> float:
        """Wait for the end of the run and return the microseconds since `start`."""
        self._call("cudaEventRecord", self._end, ctypes.c_void_p(self.stream))
        self._call("cudaEventSynchronize", self._end)
        elapsed = ctypes.c_float()
        self._call("cudaEventElapsedTime", ctypes.byref(elapsed), self._start, self._end)
        return elapsed.value * 1000.0

    def _event(self) -> ctypes.c_void_p:
        event = ctypes.c_void_p()
        self._call("cudaEventCreate", ctypes.byref(event))
        return event

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise DecigError(f"CUDA: {name} failed with status {status}{self._meaning(status)}")

    def _meaning(self, status: int) -> str:
        describe = self._library.cudaGetErrorString
        describe.restype = ctypes.c_char_p
        text = describe(status)
        return f" ({text.decode()})" if text else ""


@cache
def runtime(device_id: int = 0) -> CudaRuntime | None:
    """The CUDA runtime of this machine for one GPU; None where the library is missing."""
    library = _library()
    return None if library is None else CudaRuntime(library, device_id)


@cache
def _library() -> ctypes.CDLL | None:
    _preload()
    for name in (*_LIBRARIES, ctypes.util.find_library("cudart")):
        if name:
            with contextlib.suppress(OSError):
                return ctypes.CDLL(name)
    return None


def _preload() -> None:
    """Load CUDA and cuDNN from pip packages, in which the system's loader does not look."""
    if not hasattr(ort, "preload_dlls"):
        return
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints what it does not find
        ort.preload_dlls()
    log.debug("%s", said.getvalue())


class BoundRun:
    """A session with inputs and outputs in the memory of the GPU; call it to run it."""

    def __init__(
        self,
        session: ort.InferenceSession,
        feeds: Mapping[str, np.ndarray],
        device_id: int = 0,
        clock: CudaRuntime | None = None,
    ) -> None:
        """Copy the inputs to the GPU once.

        Args:
            session: a session on a provider of the GPU.
            feeds: inputs by name.
            device_id: number of the GPU.
            clock: made before the session, which computes in its stream. Without a clock the host
                must time the run, which waits for the GPU.
        """
        self._session, self._clock = session, clock
        self._binding = session.io_binding()
        for name, array in feeds.items():
            value = ort.OrtValue.ortvalue_from_numpy(array, _DEVICE, device_id)
            self._binding.bind_ortvalue_input(name, value)
        for output in session.get_outputs():
            self._bind_output(output, device_id)

    def _bind_output(self, output: ort.NodeArg, device_id: int) -> None:
        """Give an output a fixed place in memory: a CUDA graph is captured with its addresses."""
        kind = dtype_of(output)
        if kind is None or not all(isinstance(size, int) for size in output.shape):
            self._binding.bind_output(output.name, _DEVICE, device_id)
            return
        value = ort.OrtValue.ortvalue_from_shape_and_type(output.shape, kind, _DEVICE, device_id)
        self._binding.bind_ortvalue_output(output.name, value)

    def __call__(self) -> None:
        """Run once.

        Raises:
            BadInputError: ONNX Runtime opened the model but cannot run it.
        """
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise BadInputError(
                f"ONNX Runtime cannot run the model: {ort_reason(error)}"
            ) from error

    def time_us(self) -> float | None:
        """Run once and return the microseconds on the GPU; None without a clock there."""
        if self._clock is None:
            return None
        self._clock.start()
        self()
        return self._clock.stop_us()


def gpu_name(device_id: int = 0) -> str | None:
    """Name and driver version of an NVIDIA GPU; None where there is none.

    Args:
        device_id: number of the GPU among those that CUDA shows to this process.
    """
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    command = [*query, f"--id={_address(device_id)}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def _address(device_id: int) -> str:
    """Where a GPU is on the PCI bus; its number where the CUDA runtime does not say.

    nvidia-smi counts all GPUs of the machine, CUDA those of CUDA_VISIBLE_DEVICES, in their order.
    """
    library, found = _library(), ctypes.create_string_buffer(32)
    if library is None or library.cudaDeviceGetPCIBusId(found, len(found), device_id):
        return str(device_id)
    return found.value.decode()
