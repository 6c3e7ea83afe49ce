"""Hold a recording to a golden one.

On the same processor, kernels, libraries and number of threads every figure must be identical.
Elsewhere sums are taken in another order, so that the last bits differ, and training carries such
differences on. There losses, SSIM and latencies must agree within the tolerances below, plans and
structures still exactly, and weights are not compared. With other libraries structures are not
compared either, as exporters name things differently.

The tolerances are from two to ten times what was seen on one processor between its own
kernels (AVX-512) and those for AVX2 and SSE4 (OPENBLAS_CORETYPE, ATEN_CPU_CAPABILITY,
ONEDNN_MAX_CPU_ISA).
"""

import json
import math
from collections.abc import Iterator
from typing import Any

EARLY, EARLY_BF16 = 1e-3, 1e-2
"""Relative tolerance of the first losses, in float32 and with products in bfloat16."""

_EARLY_STEPS = 5

LOSS = 0.05
"""Tolerance of all losses, as a share of the mean of their curve."""

SSIM = 0.005
"""Absolute tolerance."""

LATENCY = 1e-4
"""Relative tolerance of predicted milliseconds; some are rounded."""


def differences(golden: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Say in one line each what differs by more than it may.

    Args:
        golden: a recording, as record.py writes it.
        found: another, all of whose entries must be in `golden`.
    """
    return [line for name in found["recordings"] for line in differences_of(name, golden, found)]


def differences_of(name: str, golden: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The same of one entry."""
    if name not in golden["recordings"]:
        return [f"{name}: is not in the golden recording"]
    same_machine = golden["identity"] == found["identity"]
    same_libraries = golden["identity"]["libraries"] == found["identity"]["libraries"]
    wanted, got = (dict(_leaves(each["recordings"][name])) for each in (golden, found))
    lines = []
    for path in sorted(wanted.keys() | got.keys()):
        if path not in wanted or path not in got:
            lines.append(f"{name}: {'/'.join(path)} is in one of the two recordings only")
        elif same_machine:
            same = wanted[path] == got[path]
            lines += [] if same else [_line(name, path, wanted[path], got[path])]
        elif not _close(name, path, wanted[path], got[path], same_libraries=same_libraries):
            lines.append(_line(name, path, wanted[path], got[path]))
    return lines


def text_of(recorded: dict[str, Any]) -> str:
    """Write a recording as JSON with a line for each recorded value."""
    return json.dumps(recorded, indent=1, sort_keys=True) + "\n"


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is no table, and where it stands."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, (*path, key))


def _close(
    name: str, path: tuple[str, ...], wanted: Any, got: Any, *, same_libraries: bool
) -> bool:
    """Whether a value agrees with that of another machine as well as it must."""
    kind = path[0] if path[0] == "losses" else path[-1]
    if kind == "weights":
        return True
    if kind == "structure":
        return wanted == got or not same_libraries
    if kind == "losses":
        return _close_curves(wanted, got, EARLY_BF16 if name.endswith("bf16") else EARLY)
    if kind == "ssim":
        return math.isclose(wanted, got, rel_tol=0, abs_tol=SSIM)
    if kind == "predicted_latency_ms":
        return math.isclose(wanted, got, rel_tol=LATENCY)
    return bool(wanted == got)


def _close_curves(wanted: list[float], got: list[float], early: float) -> bool:
    if len(wanted) != len(got):
        return False
    apart = [abs(one - other) for one, other in zip(wanted, got, strict=True)]
    most = LOSS * sum(map(abs, wanted)) / len(wanted)
    first = zip(apart[:_EARLY_STEPS], wanted, strict=False)
    return max(apart) <= most and all(each <= early * abs(one) for each, one in first)


def _line(name: str, path: tuple[str, ...], wanted: Any, got: Any) -> str:
    where = f"{name}: {'/'.join(path)}"
    if not isinstance(wanted, list) or len(wanted) != len(got):
        return f"{where}: {wanted} was recorded, {got} found"
    step = next(i for i, pair in enumerate(zip(wanted, got, strict=True)) if pair[0] != pair[1])
    worst = max(abs(one - other) / abs(one) for one, other in zip(wanted, got, strict=True))
    return (
        f"{where}: from entry {step} on: {wanted[step]} was recorded, {got[step]} found; "
        f"up to {worst:.2g} apart"
    )
