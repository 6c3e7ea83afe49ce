"""What a recording's last bits depend on: the processor, its kernels, the libraries."""

import contextlib
import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("numpy", "onnx", "onnxruntime", "scipy", "torch")
_CHOICES = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
"""Variables that choose the kernels of torch."""


def identity() -> dict[str, Any]:
    """Describe this machine and process, as plain JSON values."""
    import torch

    return {
        "libraries": {name: version(name) for name in LIBRARIES},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "processor": _processor(),
        "blas": _blas(),
        "torch_kernels": torch.backends.cpu.get_cpu_capability(),
        "chosen_kernels": {name: os.environ[name] for name in _CHOICES if name in os.environ},
        "threads": torch.get_num_threads(),
    }


def _processor() -> dict[str, Any]:
    """Name, family and model of the processor, and a digest of what it can do."""
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in pairs}
        flags = sorted(fields.get("flags", fields.get("Features", "")).split())
        named = ("model name", "cpu family", "model", "CPU part")
        found: dict[str, Any] = {key: fields[key] for key in named if key in fields}
        return found | {"flags": hashlib.sha256(" ".join(flags).encode()).hexdigest()[:16]}
    return {"model name": platform.processor() or platform.machine()}


def _blas() -> dict[str, str]:
    """Which BLAS numpy was built with, and the core that OpenBLAS was told to compute for."""
    import numpy as np

    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    asked = os.environ.get("OPENBLAS_CORETYPE", "the processor's")
    return {"name": f"{built['name']} {built['version']}", "core": asked}
