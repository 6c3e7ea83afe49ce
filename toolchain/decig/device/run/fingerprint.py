"""What a measurement belongs to: the machine, ONNX Runtime, and how it was asked to run."""

import os
import platform
from pathlib import Path
from typing import Any

import onnxruntime as ort

from decig.device.run import cuda, providers
from decig.device.run.session import DeviceOptions

SAME_DEVICE_KEYS = (
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
"""Entries that must agree for a table to hold; host name and system release may differ."""


def fingerprint(options: DeviceOptions) -> dict[str, Any]:
    """Describe this machine and how `options` run models on it, as plain JSON values."""
    return {
        "machine": platform.node(),
        "architecture": platform.machine(),
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 1,
        "system": platform.platform(),
        "onnxruntime": ort.__version__,
        "provider": providers.resolve(options.provider),
        "accelerator": _accelerator(options),
        "provider_options": options.effective_options,
        "threads": options.threads,
        "denormals": "zero",
        "optimisation": "all",
    }


def _accelerator(options: DeviceOptions) -> str | None:
    """What computes in the CPU's place, None where the CPU does."""
    return None if options.gpu is None else cuda.gpu_name(options.gpu)


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """First entry that makes two fingerprints different devices, in words; None for the same."""
    for key in SAME_DEVICE_KEYS:
        if ours.get(key) != theirs.get(key):
            return f"{key} is {theirs.get(key)!r} there and {ours.get(key)!r} here"
    return None


def cpu_model() -> str:
    """The CPU as Linux tells it: name, family and model (virtual machines shorten the name).

    The widest vector unit is part of it, because kernels and their block sizes depend on it.
    """
    try:
        text = Path("/proc/cpuinfo").read_text()
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
