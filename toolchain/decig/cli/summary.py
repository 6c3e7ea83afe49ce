"""What `decig compress` says when it is done: what was asked, what came of it, what to do next."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decig.cli import roofs
from decig.cli.tables import columns, console, percent
from decig.device.plan.wanted import UNITS
from decig.device.run.timing import missed

if TYPE_CHECKING:
    from decig.device.run.fingerprint import Fingerprint

_MINUTE = 60
_TITLES = 9
"""Characters of the titles of a summary."""


def print_compression(
    folder: Path, device: "Fingerprint | None", figures: Mapping[str, Any]
) -> None:
    """Show what a run reached, and the command that writes the file to deploy.

    Args:
        folder: of the run.
        device: that it was compressed for; None where that was none.
        figures: the content of report.json.
    """
    lines = {
        **(_computed(figures) if device is None else _timed(figures)),
        "pictures": _pictures(figures),
        "training": _training(figures),
        "method": figures["method"],
    }
    if "latency_ms" in figures:
        spans = figures["latency_ms"]
        lines["norms"] = (
            f"{len(figures['norms_folded'])} folded, {len(figures['norms_put_back'])} put back; "
            f"{spans['with_norms']:.3f} ms with all of them, {spans['folded']:.3f} ms now"
        )
    if "roofline" in figures:
        found = figures["roofline"]
        lines["reaches"] = roofs.summary(found["candidate"], found["limits"])
    screen = console()
    print_lines(lines, figures.get("warnings", ()))
    screen.print(f"figures:   {folder / 'report.json'}", soft_wrap=True)
    if (folder / "report.html").exists():
        screen.print(f"report:    {folder / 'report.html'}", soft_wrap=True)
    screen.print(f"next:      {export_command(folder, device)}", soft_wrap=True)


def print_plan(plan: Mapping[str, Any]) -> None:
    """Show what a compression would do.

    Args:
        plan: what `decig.training.compression.preview` says of one target.
    """
    counted = plan["original_latency_ms"] is None
    lines = {}
    if counted:
        asked = plan["target_macs"]
        lines["asked"] = "no target" if asked is None else f"{amount(asked)} multiply-accumulates"
    else:
        lines["asked"] = _asked(plan)
        ms = plan["predicted_latency_ms"]
        times = plan["original_latency_ms"] / ms
        lines["predicted"] = f"{ms:.3f} ms once exported, {times:.2f} times faster"
    lines["work"] = f"{_change(plan['macs'])} multiply-accumulates"
    lines["size"] = f"{_change(plan['params'])} parameters"
    lines["training"] = _expected(plan)
    lines["method"] = plan["method"]
    print_lines(lines, plan.get("warnings", ()))
    table = columns("channel group", right=("channels", "kept", ""))
    for name, kept in plan["widths"].items():
        before = plan["channels"][name]
        table.add_row(name, str(before), str(kept), percent(kept / before))
    console().print(table)


def print_lines(
    lines: Mapping[str, str], warnings: Iterable[str] = (), *, width: int = _TITLES
) -> None:
    """Show texts under each other behind their titles, then the warnings.

    Args:
        lines: texts by their titles.
        warnings: texts.
        width: characters of the longest title.
    """
    screen = console()
    pairs = [*lines.items(), *(("warning", warning) for warning in warnings)]
    for title, text in pairs:
        screen.print(f"{title + ':':<{max(width, _TITLES) + 2}}{text}", soft_wrap=True)


def _change(figure: Mapping[str, int]) -> str:
    before, after = figure["before"], figure["after"]
    return f"{amount(before)} to {amount(after)}"


def _expected(plan: Mapping[str, Any]) -> str:
    """How long training would take."""
    seconds, steps = plan["expected_seconds"], plan["steps"]
    if steps is None:
        return f"{duration(seconds)} at most; it ends early where nothing improves"
    if seconds is None:
        return f"{steps:,} steps; how long they take cannot be told before"
    return f"{steps:,} steps, about {duration(seconds)} here"


def duration(seconds: float) -> str:
    """Write a duration in words: 2 min 5 s."""
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _timed(figures: Mapping[str, Any]) -> dict[str, str]:
    """What was asked and reached of a device."""
    # While plans were tried, predictions had learnt from those before: these lines may differ.
    predicted = f"{figures['predicted_latency_ms']:.3f} ms, by the cost table alone"
    return {"asked": _asked(figures), "predicted": predicted, "measured": _measured(figures)}


def _computed(figures: Mapping[str, Any]) -> dict[str, str]:
    """What was asked and reached where there is no device."""
    before, after = figures["macs"]["before"], figures["macs"]["after"]
    wanted, unit = figures["target_macs"], "multiply-accumulates"
    asked = "no target" if wanted is None else f"{amount(wanted)} {unit}"
    less = f"{before / max(after, 1):.2f} times fewer than {amount(before)}"
    return {"asked": asked, "counted": f"{amount(after)} {unit}, {less}"}


def amount(number: float) -> str:
    """Write a large number with a unit: 1.25 G."""
    unit = next((unit for unit, size in UNITS.items() if number >= size), "")
    return f"{number / UNITS.get(unit, 1.0):.4g} {unit}".strip()


def _asked(figures: Mapping[str, Any]) -> str:
    """The latency that was asked for, beside that of the original."""
    original, wanted = figures["original_latency_ms"], figures["target_latency_ms"]
    if wanted is None:
        return f"no latency (the original takes {original:.3f} ms)"
    return f"{wanted:.3f} ms, {original / wanted:.2f} times faster than {original:.3f} ms"


def _measured(figures: Mapping[str, Any]) -> str:
    """The latency that was measured, and whether it is what was asked for."""
    found, wanted = figures["measured_latency_ms"], figures["target_latency_ms"]
    if found is None:
        return "not here: the cost table belongs to another device"
    times = f"{found:.3f} ms once exported, {figures['original_latency_ms'] / found:.2f} times"
    over = f", {found / wanted - 1:.1%} over the target" if missed(found, wanted) else ""
    return f"{times} faster{over}"


def _pictures(figures: Mapping[str, Any]) -> str:
    """How like the original's the pictures are, before and after training."""
    told = []
    for when, after in (("before training", "_before_distilling"), ("after it", "")):
        ssim, psnr_db = figures.get(f"ssim{after}"), figures.get(f"psnr_db{after}")
        values = [f"SSIM {ssim:.4f}"] if ssim is not None else []
        values += [f"PSNR {psnr_db:.2f} dB"] if psnr_db is not None else []
        if values:
            told.append(f"{', '.join(values)} {when}")
    images = f"{figures.get('held_out_images')} of them, held out of training"
    return f"{'; '.join(told)} (compared with the original's, {images})"


def _training(figures: Mapping[str, Any]) -> str:
    """How long training took, and why it ended if that was before its budget did."""
    steps = figures["steps"] + figures.get("folding_steps", 0)
    seconds = figures["training_seconds"] + figures.get("folding_seconds", 0.0)
    early = figures.get("ended_early")
    return f"{steps:,} steps in {duration(seconds)}{f'; ended early: {early}' if early else ''}"


def export_command(folder: Path, device: "Fingerprint | None") -> str:
    """The command that writes the file to deploy, measured where the cost table was taken.

    Args:
        folder: of the run; or the ONNX file that a training left in its folder.
        device: of the cost table; None in a run for no device.
    """
    from decig.device.run.providers import find

    run = folder.absolute().parent if folder.is_file() else folder.absolute()
    command = ["decig", "export", str(folder), "-o", f"{run.name}.onnx"]
    if device is None:
        return shlex.join(command)
    provider = find(device.provider)
    if not provider.built_in:
        command += ["--ep", provider.short]
    usual = provider.options({}, device.threads)
    for name, value in device.provider_options.items():
        if usual.get(name) != value:
            command += ["--ep-option", f"{name}={value}"]
    if device.threads > 1:
        command += ["--threads", str(device.threads)]
    return shlex.join(command)
