"""Tables for the terminal, on stdout."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from decig.graph.channels import Group
from decig.report import roofs
from decig.report.anatomy import Anatomy, by, short_names
from decig.report.inspection import REST, Inspection

if TYPE_CHECKING:
    from decig.deploy.check import Verdict
    from decig.deploy.cut import Cut
    from decig.deploy.export import Exported
    from decig.device.cost.table import CostTable

_COSTLIEST = 15
_WIDE = 140  # columns where there is no terminal whose width would count


def print_profile(table: "CostTable") -> None:
    """Show the latency and the costliest nodes of a cost table."""
    console = _console()
    nodes = sorted(table.nodes, key=lambda node: -node.latency_us)
    roofline = table.roofline
    parts = {} if roofline is None else {part.name: part for part in roofline.nodes}
    shown = Table("node", "op", "ms", "share", *(roofs.COLUMNS if parts else ()), box=None)
    for column in shown.columns[2:]:
        column.justify = "right"
    for node in nodes[:_COSTLIEST]:
        reached = roofs.cells(parts.get(node.name)) if parts else []
        ms = f"{node.latency_us / 1e3:.3f}"
        shown.add_row(node.name, node.op, ms, _percent(node.share), *reached)
    console.print(shown)
    if len(nodes) > _COSTLIEST:
        console.print(f"and {len(nodes) - _COSTLIEST} nodes that cost less")
    found = table.latency_us
    console.print(
        f"\nlatency {found.median_ms:.3f} ms (median of {found.runs} runs, "
        f"MAD {found.mad / 1e3:.3f} ms, p90 {found.p90 / 1e3:.3f} ms), "
        f"{table.as_it_is_ms:.3f} ms without rewrites"
    )
    if roofline is not None:
        console.print(roofs.summary(roofline.to_dict(), roofline.limits.to_dict()))


def print_inspection(found: Inspection) -> None:
    """Show a model's channel groups, stage by stage, and what they cost."""
    names = short_names(name for part in found.anatomies.values() for name in part.made_by)
    titles = short_names(group.name for group in found.groups)
    columns = ["group", "channels", "layers", "params", "MACs", "share"]
    columns += ["latency"] * (found.group_latency is not None)
    columns += [*roofs.COLUMNS[:3]] * (found.roofline is not None)
    columns += ["kept"] * (found.kept is not None)
    shown = Table(*columns, "stays because", box=None)
    for place, column in enumerate(shown.columns[1 : len(columns)]):
        column.justify = "left" if place == 1 else "right"
    groups = {group.name: group for group in found.groups}
    for stage in found.stages:
        shown.add_row(by(stage.size) or "no picture", *[""] * 2, *_costs(found, stage.groups))
        for group in (groups[name] for name in stage.groups):
            cells = _costs(found, [group.name])
            if found.kept is not None:
                cells.append(str(found.kept[group.name]))
            layers = _layers(found.anatomies[group.name], group.name, names)
            shown.add_row(f"  {titles[group.name]}", _width(group), layers, *cells, group.reason)
    if any(figures.get(REST) for figures in (found.group_params, found.group_macs)):
        shown.add_row(REST, "", "", *_costs(found, [REST]))
    console = _console()
    console.print("  ".join(f"{name} {by(shape)}" for name, shape in found.ports.items()))
    console.print(shown)
    console.print(f"\n{found.params:,} parameters, {found.macs:,} multiply-accumulates")
    if found.roofline is not None:
        console.print(roofs.summary(found.roofline.to_dict(), found.roofline.limits.to_dict()))
    rough = [group.name for group in found.groups if group.prunable and not group.exact]
    if rough:
        console.print(f"share statistics, so cutting them changes the rest: {', '.join(rough)}")


def _width(group: Group) -> str:
    """Channels that can go one by one; where several go at once, how many."""
    return str(group.channels) if group.copies == 1 else f"{group.channels} x {group.copies}"


def _layers(anatomy: Anatomy, group: str, names: Mapping[str, str]) -> str:
    """List the layers of a group, and who else makes its channels."""
    kinds = ", ".join(
        kind if count == 1 else f"{count} {kind}" for kind, count in anatomy.layers.items()
    )
    others = [names[name] for name in anatomy.made_by if name != group]
    if not others:
        return kinds
    ends = others if len(others) < 3 else [others[0], "...", others[-1]]
    return f"{kinds}; with {', '.join(ends)}"


def print_cut(cut: "Cut") -> None:
    """Show what a slice took away."""
    console = _console()
    for what, before, after in (
        ("parameters", cut.before.params, cut.after.params),
        ("multiply-accumulates", cut.before.macs, cut.after.macs),
    ):
        share = _percent(after / before) if before else "-"
        console.print(f"{what}: {before:,} -> {after:,} ({share} left)")
    removed = sum(cut.removed.values())
    console.print(f"channels removed: {removed}, from {len(cut.removed)} groups")
    if cut.predicted_ms is not None:
        console.print(f"predicted latency: {cut.predicted_ms:.3f} ms")
    if cut.measured_ms is not None:
        console.print(f"measured latency: {cut.measured_ms:.3f} ms")
    if cut.max_abs_diff is not None:
        console.print(f"difference to the masked original: {cut.max_abs_diff:.1e} of the range")


def print_verdict(verdict: "Verdict") -> None:
    """Show a candidate next to its reference."""
    shown = Table("", "reference", "candidate", "", box=None)
    for column in shown.columns[1:]:
        column.justify = "right"
    ms = {name: latency.median_ms for name, latency in verdict.latency.items()}
    span = "latency from bytes to bytes, ms" if verdict.from_bytes else "latency, ms"
    _pair(shown, span, ms, "{:.3f}", f"{verdict.speedup:.2f} times faster")
    _pair(shown, "multiply-accumulates", verdict.macs, "{:,}")
    _pair(shown, "parameters", verdict.params, "{:,}")
    alike = verdict.likeness
    _pair(shown, "colour (max - min of RGB)", alike.colour, "{:.4f}")
    console = _console()
    console.print(shown)
    skipped = f", {len(alike.skipped)} unreadable files skipped" if alike.skipped else ""
    console.print(
        f"\nSSIM {alike.ssim:.4f}, PSNR {alike.psnr_db:.2f} dB, edge difference "
        f"{alike.edges:.4f} on {alike.images} images{skipped}"
    )
    for name, roofline in (verdict.roofline or {}).items():
        console.print(f"\n{name}")
        console.print(roofs.node_table(roofline, _COSTLIEST))
        console.print(roofs.summary(roofline.to_dict(), roofline.limits.to_dict()))


def print_export(exported: "Exported") -> None:
    """Show what an export did and found."""
    console = _console()
    choice = exported.choice
    made = [f"{rule} ({times})" for rule, times in choice.canonical.items()]
    for what, rules in (
        ("rewritten", made),
        ("rewritten for the device", choice.kept),
        ("rewrites that did not pay", choice.dropped),
    ):
        if rules:
            console.print(f"{what}: {', '.join(rules)}")
    console.print(f"difference to the original graph: {exported.difference:.1e} of the range")
    if exported.torch_difference is not None:
        console.print(f"difference to the trained module: {exported.torch_difference:.1e}")
    for variant in exported.precision.variants:
        fate = variant.dropped or "used"
        likeness = f"SSIM {variant.ssim:.4f}, PSNR {variant.psnr_db:.2f} dB to fp32"
        console.print(f"{variant.name}: {fate}; {likeness}")
    before = f"{choice.plain.median_ms:.3f} ms before"
    console.print(f"latency: {exported.exported_ms:.3f} ms, {before}")
    if exported.from_bytes is not None:
        spans = {name: latency.median_ms for name, latency in exported.from_bytes.items()}
        console.print(
            f"from bytes to bytes: {spans['inside']:.3f} ms, {spans['outside']:.3f} ms with "
            "pre- and postprocessing outside"
        )
    if exported.predicted_ms is not None:
        console.print(f"predicted latency: {exported.predicted_ms:.3f} ms")


def print_figures(figures: Mapping[str, Any]) -> None:
    """Show figures, one a line."""
    console = _console()
    for name, value in figures.items():
        if name == "schema_version":
            continue
        if name == "roofline":
            for side in ("reference", "candidate"):
                console.print(f"{side}: {roofs.summary(value[side], value['limits'])}")
            continue
        if isinstance(value, Mapping):
            shown = ", ".join(f"{key} {_short(part)}" for key, part in value.items())
        else:
            shown = _short(value)
        console.print(f"{name.replace('_', ' ')}: {shown}", soft_wrap=True)


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _costs(found: Inspection, groups: Sequence[str]) -> list[str]:
    """Parameters, multiply-accumulates and their share, and the share of the latency."""
    params, macs = (
        sum(figures.get(group, 0) for group in groups)
        for figures in (found.group_params, found.group_macs)
    )
    cells = [f"{params:,}", f"{macs / 1e6:,.1f} M", _percent(macs / found.macs) if macs else "-"]
    if found.group_latency is not None:
        cells.append(_percent(sum(found.group_latency.get(group, 0.0) for group in groups)))
    if found.roofline is not None:
        parts = [found.group_parts[group] for group in groups if group in found.group_parts]
        cells += roofs.cells(found.roofline.together(parts))[:3]
    return cells


def _pair(table: Table, title: str, values: Mapping[str, float], form: str, note: str = "") -> None:
    table.add_row(title, form.format(values["reference"]), form.format(values["candidate"]), note)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _console() -> Console:
    # Names of nodes look like markup and emoji codes to rich; they are neither.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console
