"""What `decig train` says of condensed generators when it is done, and what to do next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decig.cli.summary import duration, export_command, print_lines
from decig.device.cost.table import CostTable
from decig.device.plan.target import TABLE_FILE
from decig.device.run.timing import missed
from decig.report.hinges import FILE as DRAWING
from decig.report.hinges import Curve, read_hinges
from decig.schema import read_json


def print_training(folder: Path, written: Path) -> None:
    """Show what became of the generators that were condensed while they were trained.

    Args:
        folder: of the run.
        written: file of the first generator.
    """
    report = read_json(folder / "report.json", dict[str, Any], "report of a run")
    asked, original = report["target_latency_ms"], report["original_latency_ms"]
    macs = report.get("target_macs")
    hinges = read_hinges(folder)
    lines = {"asked": _asked(asked, macs, original)}
    for name, figures in report["generators"].items():
        reached = _latency(figures, original, asked) if macs is None else _counted(figures)
        lines[name] = f"{reached}; {_channels(hinges[name])}"
    steps = [f"{report['steps'][s]:,} steps to {s}" for s in ("condense", "teach")]
    lines["training"] = (
        f"{', '.join(steps)}, in {duration(sum(report['training_seconds'].values()))}"
    )
    width = max(map(len, lines))
    print_lines(lines, report["warnings"], width=width)
    ends = {"figures": folder / "report.json", "hinges": folder / DRAWING, "file": written}
    device = CostTable.load(folder / TABLE_FILE).device if macs is None else None
    found = {title: str(file) for title, file in ends.items() if file.exists()}
    print_lines(found | {"next": export_command(written, device)}, (), width=width)


def _asked(asked: float | None, macs: int | None, original: float | None) -> str:
    """What was to be reached."""
    if macs is not None:
        return f"{macs / 1e6:,.2f} M multiply-accumulates"
    if asked is None:
        return f"no latency: cut at the hinges (the whole generator takes {original:.3f} ms)"
    assert original is not None
    return f"{asked:.3f} ms, {original / asked:.2f} times faster than {original:.3f} ms"


def _counted(figures: Mapping[str, Any]) -> str:
    """What a generator computes, where multiply-accumulates were asked for."""
    return f"counted {figures['predicted_macs'] / 1e6:,.2f} M multiply-accumulates"


def _latency(figures: Mapping[str, Any], original: float, asked: float | None) -> str:
    """What a generator takes, and whether that is what was asked for."""
    measured, predicted = figures["measured_latency_ms"], figures["predicted_latency_ms"]
    if measured is None:
        times = f"predicted {predicted:.3f} ms, {original / predicted:.2f} times faster"
        return f"{times} (not measured: the cost table belongs to another device)"
    over = ""
    if asked is not None and missed(measured, asked):
        over = f", {measured / asked - 1:.1%} over the target"
    times = original / measured
    return (
        f"measured {measured:.3f} ms, {times:.2f} times faster{over} (predicted {predicted:.3f} ms)"
    )


def _channels(groups: Mapping[str, Curve]) -> str:
    """How many channels were left of all that could go."""
    before = sum(curve.channels.before for curve in groups.values())
    after = sum(curve.channels.after for curve in groups.values())
    return f"{before} channels to {after} in {len(groups)} groups"
