"""What is installed here, what really runs, and the lines that install what is missing.

`decig doctor` shows it. What the package says of itself (its requirements and extras) is read from
the installed metadata, so this page knows no list of its own.
"""

import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import psutil
from onnx import TensorProto, helper, numpy_helper
from packaging.requirements import Requirement
from threadpoolctl import threadpool_info

from decig import __version__
from decig.device.run.cores import available_cores
from decig.device.run.device import Device
from decig.device.run.fingerprint import cpu_model
from decig.device.run.providers import PROVIDERS, Provider, installed_packages
from decig.device.run.threads import worker_threads
from decig.errors import DecigError
from decig.extras import missing

PACKAGE = "decig"
"""Name of this distribution."""
_MIB = 2**20


@dataclass(frozen=True)
class Package:
    """A package that decig needs, always or for one of its extras.

    Attributes:
        name: of the distribution.
        wanted: the versions that fit, such as ">=2.0"; empty where any does.
        installed: the version that is there; None where there is none.
    """

    name: str
    wanted: str
    installed: str | None

    @property
    def fits(self) -> bool:
        """Whether a version is there that decig works with."""
        found = self.installed
        requirement = Requirement(f"{self.name}{self.wanted}")
        return found is not None and requirement.specifier.contains(found, prereleases=True)


@dataclass(frozen=True)
class Extra:
    """An optional part of decig, such as train, which brings PyTorch.

    Attributes:
        name: as pip takes it in brackets.
        packages: that it brings.
    """

    name: str
    packages: tuple[Package, ...]

    @property
    def complete(self) -> bool:
        """Whether everything is there that it needs."""
        return all(package.fits for package in self.packages)


@dataclass(frozen=True)
class Tried:
    """An execution provider of the installed ONNX Runtime, and whether it runs a graph.

    Attributes:
        name: that people type, such as "cpu".
        needed: whether decig does not work without it, as without the processor's own.
        fault: why it does not run a small convolution; empty where it does.
    """

    name: str
    needed: bool
    fault: str


@dataclass(frozen=True)
class Installation:
    """What `decig doctor` found.

    Attributes:
        decig: its version.
        python: its version.
        system: name and release of the operating system, and the architecture.
        packages: those that decig always needs.
        extras: optional parts.
        onnxruntime: installed packages that bring ONNX Runtime; more than one overwrite each other.
        providers: execution providers, each tried on a small graph.
        cpu: name of the processor, with its widest vector unit.
        cores: that this process may use.
        threads: that decig uses where nothing is timed.
        blas: libraries that multiply matrices for numpy and scipy, with the kernels they chose.
        memory_mib: available memory, in MiB.
        torch: what PyTorch would train on; None where it is not installed.
    """

    decig: str
    python: str
    system: str
    packages: tuple[Package, ...]
    extras: tuple[Extra, ...]
    onnxruntime: tuple[str, ...]
    providers: tuple[Tried, ...]
    cpu: str
    cores: int
    threads: int
    blas: tuple[str, ...]
    memory_mib: int
    torch: str | None

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps decig from working, one line each, with the line that mends it."""
        wrong = [package for package in self.packages if not package.fits]
        found = [
            f"{package.name} {package.installed or 'is not installed'}"
            f"{'' if package.installed is None else f' does not fit {package.wanted}'}: "
            f"pip install '{package.name}{package.wanted}'"
            for package in wrong
        ]
        if len(self.onnxruntime) > 1:
            listed = " ".join(self.onnxruntime)
            found.append(
                f"{' and '.join(self.onnxruntime)} are installed over each other: pip uninstall -y "
                f"{listed}, then install one of them"
            )
        found += [t.fault for t in self.providers if t.needed and t.fault]
        return tuple(found)

    @property
    def advice(self) -> tuple[str, ...]:
        """What could be added, one line each."""
        return tuple(
            f"{extra.name}: {_lacking(extra)}: pip install '{PACKAGE}[{extra.name}]'"
            for extra in self.extras
            if not extra.complete
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `decig doctor --json`."""
        found = asdict(self)
        found["extras"] = {
            extra.name: {
                "complete": extra.complete,
                "packages": [asdict(p) for p in extra.packages],
            }
            for extra in self.extras
        }
        found["providers"] = {tried.name: tried.fault or "runs" for tried in self.providers}
        return found | {"problems": self.problems, "advice": self.advice}


def look_at_installation() -> Installation:
    """Find out what is installed and what really runs; takes a second, and downloads nothing."""
    return Installation(
        decig=__version__,
        python=sys.version.split()[0],
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        packages=tuple(_packages(None)),
        extras=tuple(Extra(name, tuple(_packages(name))) for name in _extras()),
        onnxruntime=tuple(installed_packages()),
        providers=tuple(_try(p) for p in PROVIDERS if p.full in ort.get_available_providers()),
        cpu=cpu_model(),
        cores=available_cores(),
        threads=worker_threads(),
        blas=tuple(_blas()),
        memory_mib=psutil.virtual_memory().available // _MIB,
        torch=_torch(),
    )


def _extras() -> list[str]:
    """Names of the optional parts."""
    return metadata.metadata(PACKAGE).get_all("Provides-Extra") or []


def _packages(extra: str | None) -> Iterator[Package]:
    """Yield what the base installation needs, or what an extra brings, each once.

    An extra that holds others repeats what these have in common.
    """
    for text in dict.fromkeys(metadata.requires(PACKAGE) or []):
        requirement, marker = Requirement(text), Requirement(text).marker
        base = marker is None or marker.evaluate({"extra": ""})
        wanted = base if marker is None or extra is None else marker.evaluate({"extra": extra})
        if wanted and (extra is None or not base):
            yield Package(requirement.name, str(requirement.specifier), _version(requirement.name))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _lacking(extra: Extra) -> str:
    """Which packages of an extra do not fit."""
    listed = (
        f"{package.name} {package.installed} (wanted {package.wanted})"
        if package.installed
        else package.name
        for package in extra.packages
        if not package.fits
    )
    return f"lacks {', '.join(listed)}"


def _try(provider: Provider) -> Tried:
    """Run a small graph on a provider, all of it, and compare with what must come out."""
    try:
        return Tried(provider.short, provider.built_in, _fault(provider))
    except DecigError as error:
        return Tried(provider.short, provider.built_in, str(error))


def _fault(provider: Provider) -> str:
    """Why a provider's result of the small graph is wrong; empty where it is right."""
    rng = np.random.default_rng(0)
    weight = rng.uniform(-1, 1, (4, 3, 1, 1)).astype(np.float32)
    image = rng.uniform(0, 1, (1, 3, 8, 8)).astype(np.float32)
    session = Device.of(provider.short).open(_small_graph(weight))
    [found] = session.run(None, {"image": image})
    wanted = np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], image)
    worst = float(np.abs(found - wanted).max())
    return "" if worst < 1e-2 else f"a convolution comes out wrong by {worst:.3g}"


def _small_graph(weight: np.ndarray) -> onnx.ModelProto:
    """A convolution of 1x1: 1,3,8,8 to 1,4,8,8."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight"], ["picture"])],
        "doctor",
        [value("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("picture", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _blas() -> Iterator[str]:
    """Describe each library of matrix products that is loaded: OpenBLAS 0.3.30, SkylakeX."""
    for library in threadpool_info():
        if library["user_api"] == "blas":
            parts = (library["internal_api"], library["version"], library.get("architecture"))
            yield " ".join(str(part) for part in parts if part)


def _torch() -> str | None:
    """Say what PyTorch would train on, such as "2.13.0 on cpu, bf16 in hardware"."""
    if missing(("torch", "accelerate")):
        return None
    from decig.training.loop.precision import describe_training_device

    return describe_training_device()
