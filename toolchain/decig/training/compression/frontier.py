"""The frontier of a call with several targets: what each of them reached."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

FILE = "frontier.json"
"""File of the folder of all targets that holds the figures."""
SCHEMA_VERSION = 1

_SAME_SSIM = 1e-4
"""SSIM by which pictures must differ to be told apart: that much more counts as better."""
_TAKEN = (
    "target_latency_ms",
    "target_macs",
    "predicted_latency_ms",
    "predicted_macs",
    "measured_latency_ms",
    "ssim",
    "psnr_db",
    "steps",
    "training_seconds",
)
"""Figures that stand in a report and in the frontier under the same name."""


def of(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Gather the figures of all targets.

    Args:
        reports: content of report.json by the name of each target's folder, the slowest first.

    Returns:
        The content of frontier.json. `monotone` says whether more speed costs quality all the way,
        as it should; `notes` name the targets where it does not.
    """
    targets = [_figures(name, report) for name, report in reports.items()]
    notes = _notes(targets)
    first = next(iter(reports.values()), {})
    original = {
        "latency_ms": first.get("original_latency_ms"),
        "macs": first.get("macs", {}).get("before"),
        "params": first.get("params", {}).get("before"),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "method": first.get("method"),
        "original": original,
        "targets": targets,
        "monotone": not notes,
        "notes": notes,
        **_warnings(reports),
    }


def _warnings(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    lines = [line for report in reports.values() for line in report.get("warnings", ())]
    return {"warnings": list(dict.fromkeys(lines))} if lines else {}


def _figures(name: str, report: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: report.get(key) for key in _TAKEN}
    latency, original = _latency(found), report.get("original_latency_ms")
    return {
        "target": name,
        **found,
        "speedup": original / latency if original and latency else None,
        "macs": report["macs"]["after"],
        "params": report["params"]["after"],
        "file_bytes": report["file_bytes"],
    }


def _latency(figures: Mapping[str, Any]) -> float | None:
    """The latency that was measured, or else the one that was predicted."""
    measured: float | None = figures["measured_latency_ms"]
    predicted: float | None = figures["predicted_latency_ms"]
    return predicted if measured is None else measured


def _notes(targets: list[dict[str, Any]]) -> list[str]:
    """Say where a faster target came out slower, or better."""
    notes = []
    for slow, fast in pairwise(targets):
        names, times = (slow["target"], fast["target"]), (_latency(slow), _latency(fast))
        if times[0] is not None and times[1] is not None and times[1] >= times[0]:
            notes.append(
                f"{names[1]} came out no faster than {names[0]} "
                f"({times[1]:.4g} ms, {times[0]:.4g} ms)"
            )
        elif fast["ssim"] > slow["ssim"] + _SAME_SSIM:
            notes.append(
                f"{names[1]} is faster than {names[0]} and its pictures are more like the "
                f"original's (SSIM {fast['ssim']:.4f}, {slow['ssim']:.4f}): {names[0]} needs a "
                "longer training, or is not worth its time"
            )
    return notes
