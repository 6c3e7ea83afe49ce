"""The precision that nets compute in: float32, or bfloat16 where the processor is fast at it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

AUTO = "auto"
BF16 = "bf16"
Name = Literal["auto", "bf16", "fp32"]
"""What settings may ask for; see `Precision.named`."""


@dataclass(frozen=True)
class Precision:
    """How nets compute on one kind of device.

    Attributes:
        device: kind of device, such as "cpu" or "cuda".
        bf16: whether products are computed in bfloat16; weights and sums stay in float32.
    """

    device: str
    bf16: bool = False

    @classmethod
    def named(cls, name: str, device: str) -> "Precision":
        """Return the precision of a name: "fp32", "bf16", or "auto".

        "auto" is bf16 where the device multiplies bfloat16 in hardware, else fp32: bfloat16 that
        is emulated would be slower than float32.
        """
        return cls(device, name == BF16 or (name == AUTO and has_native_bf16(device)))

    def autocast(self) -> AbstractContextManager[None]:
        """Let PyTorch choose the type of every operation inside by this precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)

    def run(self, net: Callable[..., Any], *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run a net in this precision; returns its outputs in float32, always as a tuple."""
        with self.autocast():
            outputs = net(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(output.float() for output in outputs)


def has_native_bf16(device: str) -> bool:
    """Whether a kind of device, such as "cpu" or "cuda", multiplies bfloat16 in hardware."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def describe_training_device() -> str:
    """Say what PyTorch would train on, such as "2.13.0 on cpu, bfloat16 in hardware"."""
    gpus = torch.cuda.device_count()
    where = "cpu" if not gpus else f"{gpus} x {torch.cuda.get_device_name(0)}"
    how = "in hardware" if has_native_bf16("cuda" if gpus else "cpu") else "emulated"
    return f"{torch.__version__} on {where}, bfloat16 {how}"
