"""What runs models, so that it can be timed and its pictures judged: ONNX Runtime and OpenVINO."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from jobs import BENCHMARKS

from decig.device.run.device import Device
from decig.device.run.timing import Call
from decig.errors import DecigError

_SERVER = BENCHMARKS / "openvino_side" / "serve.py"


class Runtime(Protocol):
    """Runs files of models that take one input and give one picture."""

    @property
    def name(self) -> str:
        """For tables."""
        ...

    def reads(self, file: Path) -> bool:
        """Whether it knows files of this kind."""
        ...

    def prepare(self, file: Path, inputs: np.ndarray) -> Call:
        """Open a file; returns a call that runs it on the inputs once, for timing.

        Raises:
            DecigError: it cannot be opened.
        """
        ...

    def run(self, file: Path, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Outputs of a file for inputs of one picture each, one behind the other."""
        ...


@dataclass(frozen=True)
class OnnxRuntime:
    """ONNX Runtime on a device of decig's; one thread of the processor by default."""

    device: Device = field(default_factory=Device.of)
    name: str = "ONNX Runtime"

    def reads(self, file: Path) -> bool:
        """See `Runtime.reads`."""
        return file.suffix == ".onnx"

    def prepare(self, file: Path, inputs: np.ndarray) -> Call:
        """See `Runtime.prepare`."""
        session = self.device.open(file)
        return self.device.prepare(session, {session.get_inputs()[0].name: inputs})

    def run(self, file: Path, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """See `Runtime.run`."""
        session = self.device.unbound.open(file)
        name = session.get_inputs()[0].name
        return np.concatenate([session.run(None, {name: each})[0] for each in inputs])


class OpenVino:
    """OpenVINO on one thread of the processor, in a process of another Python environment.

    Attributes:
        version: of OpenVINO.
    """

    name = "OpenVINO"

    def __init__(self, python: Path) -> None:
        """Start the process.

        Args:
            python: interpreter of an environment that has OpenVINO.

        Raises:
            DecigError: there is no OpenVINO in that environment.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="decig-openvino-")
        self._log = (Path(self._folder.name) / "log.txt").open("w+", encoding="utf-8")
        try:
            self._process = subprocess.Popen(
                [str(python), str(_SERVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
            )
        except OSError as error:
            self._tidy()
            raise DecigError(f"OpenVINO: {python} does not start: {error.strerror}") from error
        try:
            self.version = str(self._ask(do="version")["version"])
        except DecigError:
            self.close()
            raise

    def __enter__(self) -> "OpenVino":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what the process did not read
                    pipe.close()
        self._process.wait()
        self._tidy()

    def _tidy(self) -> None:
        self._log.close()
        self._folder.cleanup()

    def reads(self, file: Path) -> bool:
        """See `Runtime.reads`."""
        return file.suffix in (".onnx", ".xml")

    def prepare(self, file: Path, inputs: np.ndarray) -> "_Timed":
        """See `Runtime.prepare`."""
        path = self._written(inputs)
        return _Timed(self, self._ask(do="open", model=str(file), inputs=str(path))["number"])

    def run(self, file: Path, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """See `Runtime.run`."""
        path, outputs = self._written(np.concatenate(inputs)), Path(self._folder.name) / "out.npy"
        self._ask(do="paint", model=str(file), inputs=str(path), outputs=str(outputs))
        found: np.ndarray = np.load(outputs)
        return found

    def time_us(self, number: int) -> float:
        """Run an opened model once; returns the microseconds by the clock of its process."""
        return float(self._ask(do="time", number=number)["us"])

    def _written(self, inputs: np.ndarray) -> Path:
        path = Path(self._folder.name) / "in.npy"
        np.save(path, inputs)
        return path

    def _ask(self, **asked: Any) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(asked) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._log.seek(0)
            said = self._log.read().strip().splitlines()
            raise DecigError(f"OpenVINO's process ended{f': {said[-1]}' if said else ''}")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            what = f" on {Path(asked['model']).name}" if "model" in asked else ""
            raise DecigError(f"OpenVINO{what}: {' '.join(found['error'].split())}")
        return found


@dataclass(frozen=True)
class _Timed:
    """A run of a model in OpenVINO's process, which times it there."""

    runtime: OpenVino
    number: int

    def __call__(self) -> None:
        self.time_us()

    def time_us(self) -> float:
        return self.runtime.time_us(self.number)
