"""Where training runs, and in which precision: bfloat16 where the processor computes in it."""

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState


def make_accelerator(precision: str = "auto") -> Accelerator:
    """Return the accelerator of this process (several under `accelerate launch`).

    Args:
        precision: "fp32", "bf16" (products in bfloat16, weights and sums in float32), or "auto":
            bf16 where it is native. Emulated it would be slower than fp32.
    """
    if precision == "auto":
        precision = "bf16" if has_native_bf16() else "fp32"
    # Accelerate keeps the precision of a process's first Accelerator and refuses another.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision="bf16" if precision == "bf16" else "no")


def has_native_bf16() -> bool:
    """Whether the device that training would run on multiplies bfloat16 in hardware."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_capability()[0] >= 8
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
