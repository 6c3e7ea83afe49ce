"""What `decig compress` says of several targets: a table, and what in it is not as it should be."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decig.cli.summary import amount, export_command
from decig.cli.tables import columns, console

if TYPE_CHECKING:
    from decig.device.run.fingerprint import Fingerprint

_FIGURES = ("asked", "predicted", "measured", "times", "SSIM", "PSNR", "MACs", "params", "MB")
"""Titles of columns; one that is empty in all rows is left out."""
_MB = 1e6


def print_frontier(folder: Path, device: "Fingerprint | None", found: Mapping[str, Any]) -> None:
    """Show the figures of all targets, the slowest first, and what comes next.

    Args:
        folder: of the targets.
        device: that the model was compressed for; None where that was none.
        found: the content of frontier.json.
    """
    rows = [_original(found["original"]), *map(_row, found["targets"])]
    filled = [place for place, cells in enumerate(zip(*rows, strict=True)) if any(cells)]
    table = columns("target", right=[_FIGURES[place - 1] for place in filled if place])
    for row in rows:
        table.add_row(*(row[place] for place in filled))
    screen = console()
    screen.print(table)
    for note in (*found["notes"], *found.get("warnings", ())):
        screen.print(f"warning: {note}", soft_wrap=True)
    if (folder / "report.html").exists():
        screen.print(f"report:  {folder / 'report.html'}", soft_wrap=True)
    screen.print(f"figures: {folder / 'frontier.json'}", soft_wrap=True)
    for each in found["targets"]:
        command = export_command(folder / each["target"], device)
        screen.print(f"next:    {command}", soft_wrap=True)


def print_previews(found: Mapping[str, Any]) -> None:
    """Show the plan of every target."""
    from decig.cli.summary import print_plan

    screen = console()
    for name, plan in found["targets"].items():
        screen.print(f"{name}:")
        print_plan(plan)


def _original(figures: Mapping[str, Any]) -> list[str]:
    latency_ms = figures["latency_ms"]
    times = "1.00" if latency_ms else ""
    sizes = [amount(figures["macs"]), amount(figures["params"])]
    return ["original", "", "", _ms(latency_ms), times, "", "", *sizes, ""]


def _row(each: Mapping[str, Any]) -> list[str]:
    wanted = each["target_latency_ms"]
    asked = _ms(wanted) if wanted is not None else _amount(each["target_macs"])
    predicted = each["predicted_latency_ms"]
    return [
        each["target"],
        asked,
        _ms(predicted),  # multiply-accumulates are counted
        _ms(each["measured_latency_ms"]),
        _figure(each["speedup"], "{:.2f}"),
        _figure(each["ssim"], "{:.4f}"),
        _figure(each["psnr_db"], "{:.2f} dB"),
        amount(each["macs"]),
        amount(each["params"]),
        f"{each['file_bytes'] / _MB:.2f}",
    ]


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _ms(value: float | None) -> str:
    return _figure(value, "{:.3f} ms")


def _amount(value: float | None) -> str:
    return "" if value is None else amount(value)
