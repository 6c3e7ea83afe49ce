"""What a measurement belongs to: the machine, ONNX Runtime, and how it was asked to run."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from decig.schema import AtLeastOne

_SAME_DEVICE = (
    "cpu",
    "cores",
    "accelerator",
    "onnxruntime",
    "provider",
    "provider_options",
    "threads",
    "denormals",
    "optimisation",
)
"""Entries that must agree for a table to hold; machine name and system release may differ."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """A device as cost tables and exported files describe it.

    Attributes:
        machine: host name.
        architecture: of the processor, such as "x86_64".
        cpu: name of the processor, with its widest vector unit.
        cores: of the machine.
        system: name and release of the operating system.
        onnxruntime: its version.
        provider: ONNX Runtime's name of the execution provider.
        accelerator: what computes instead of the processor; None where the processor does.
        provider_options: all options of the provider, by name.
        threads: threads within an operator.
        denormals: what becomes of denormal numbers.
        optimisation: how much ONNX Runtime optimises.
    """

    machine: str
    architecture: str
    cpu: str
    cores: AtLeastOne
    system: str
    onnxruntime: str
    provider: str
    accelerator: str | None = None
    provider_options: Mapping[str, str]
    threads: AtLeastOne
    denormals: str
    optimisation: str

    @property
    def computes(self) -> str:
        """Name of what computes: the accelerator, or the processor where there is none."""
        return self.accelerator or self.cpu

    def identity(self) -> dict[str, Any]:
        """Entries that make a device the same device, as plain JSON values."""
        entries = self.to_dict()
        return {key: entries[key] for key in _SAME_DEVICE}

    def difference(self, there: "Fingerprint") -> str | None:
        """Say which entry makes `there` another device than this one; None for the same device."""
        ours, theirs = self.identity(), there.identity()
        for key, value in ours.items():
            if value != theirs[key]:
                return f"{key} is {theirs[key]!r} there and {value!r} here"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the file formats."""
        return asdict(self)


def cpu_model() -> str:
    """The processor as Linux tells it: name, family and model, and its widest vector unit.

    Virtual machines shorten the name, so family and model stand beside it. Kernels and their block
    sizes depend on the vector unit.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in pairs}
    flags = fields.get("flags", fields.get("Features", "")).split()
    details = [
        f"{label} {fields[key]}"
        for label, key in (("family", "cpu family"), ("model", "model"), ("part", "CPU part"))
        if key in fields
    ]
    details += [flag for flag in ("avx512f", "avx2", "sve", "asimd") if flag in flags][:1]
    name = fields.get("model name") or fields.get("Model") or platform.machine()
    return f"{name} ({', '.join(details)})" if details else name
