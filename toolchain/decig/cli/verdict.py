"""What `decig check` shows people: a candidate beside its reference."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from decig.errors import BadInputError

if TYPE_CHECKING:
    from onnx import ModelProto
    from rich.table import Table

    from decig.deploy.check import Verdict
    from decig.deploy.judges.segmenter import Segmentation
    from decig.deploy.likeness import Likeness
    from decig.deploy.real import Real
    from decig.quality.features import FeatureKind

_COSTLIEST = 15
"""Nodes that the table of --roofline shows."""


def print_verdict(protos: Mapping[str, "ModelProto"], verdict: "Verdict") -> None:
    """Show a candidate beside its reference."""
    from decig.cli import roofs
    from decig.cli.tables import columns, console, percent
    from decig.graph.channels import analyse
    from decig.report.anatomy import layer_names
    from decig.source.stamp import stamped_rewrites

    shown = columns("", right=("reference", "candidate", ""))
    ms = {name: latency.median_ms for name, latency in verdict.latency.items()}
    span = "latency from bytes to bytes, ms" if verdict.from_bytes else "latency, ms"
    _add_pair(shown, span, ms, "{:.3f}", f"{verdict.speedup:.2f} times faster")
    _add_pair(shown, "multiply-accumulates", verdict.macs, "{:,}")
    _add_pair(shown, "parameters", verdict.params, "{:,}")
    alike = verdict.likeness
    _add_pair(shown, "colour (max - min of RGB)", alike.colour, "{:.4f}")
    screen = console()
    screen.print(shown)
    if why := stamped_rewrites(protos["candidate"]).note:
        screen.print(f"multiply-accumulates of the candidate: {why}", soft_wrap=True)
    screen.print(
        f"{len(verdict.times.candidate_us)} runs of each, in turns; other programs had the "
        f"processor for {percent(verdict.times.disturbed)} of the time"
    )
    _print_pairs(alike)
    _print_distances(alike)
    for name, other in alike.other_pictures.items():
        own = " in its own range" if "range" in other else ""
        screen.print(f"{name}: SSIM {other['ssim']:.4f}, PSNR {other['psnr_db']:.2f} dB{own}")
    for finding in verdict.findings:
        screen.print(f"{finding.answer.value}: {finding.text}", soft_wrap=True)
    for name, roofline in (verdict.roofline or {}).items():
        screen.print(f"\n{name}")
        layers = layer_names(analyse(protos[name]))
        screen.print(roofs.node_table(roofline, _COSTLIEST, layers))
        screen.print(roofs.summary(roofline.to_dict(), roofline.limits.to_dict()))


def _print_pairs(alike: "Likeness") -> None:
    """Show how like the reference's pictures the candidate's are, one by one."""
    from decig.cli.tables import console

    pairs = alike.pairs
    skipped = f", {len(alike.skipped)} unreadable files skipped" if alike.skipped else ""
    multiscale = "" if pairs.ms_ssim is None else f"MS-SSIM {pairs.ms_ssim:.4f}, "
    console().print(
        f"\nSSIM {pairs.ssim:.4f}, {multiscale}PSNR {pairs.psnr_db:.2f} dB, edge difference "
        f"{alike.edges:.4f} on {alike.images} images{skipped}"
    )


def _print_distances(alike: "Likeness") -> None:
    """Show how far the pictures as a whole are from the reference's, and from real ones."""
    from decig.cli.tables import console
    from decig.quality.features import lacking, require_features

    screen = console()
    if lacking():
        try:
            require_features("KID")
        except BadInputError as advice:
            screen.print(f"left out: {advice}", markup=False)
    for each in alike.distances.values():
        far, kind = each.distance, each.protocol.kind
        screen.print(
            f"KID {far.kid:.5f} (standard error {far.kid_standard_error:.5f}), "
            f"{_frechet(kind)} {far.frechet_distance:.3f} to the reference's pictures "
            f"({each.protocol})",
            markup=False,
        )
    if alike.lpips is not None:
        found = f"LPIPS {alike.pairs.lpips:.4f} to the reference's pictures ({alike.lpips})"
        screen.print(found, markup=False)
    if alike.segmentation is not None:
        screen.print()
        screen.print(_label_table(alike.segmentation))
        screen.print(f"({alike.segmentation.protocol})", markup=False)
    if alike.real is not None:
        screen.print()
        screen.print(_real_table(alike.real))
        for sets in alike.real.distances.values():
            screen.print(f"({sets['candidate'].protocol})", markup=False)


def _frechet(kind: "FeatureKind") -> str:
    return "FID" if kind.fid else "Frechet distance"


def _label_table(found: "Segmentation") -> "Table":
    """Lay out how well the labels found in pictures agree with the label maps."""
    from decig.cli.tables import columns

    shown = columns("labels found in pictures", right=tuple(found.agreement))
    for title, key in (("pixel accuracy", "accuracy"), ("mean IoU", "mean_iou")):
        values = [getattr(each, key) for each in found.agreement.values()]
        shown.add_row(title, *(f"{value:.4f}" for value in values))
    return shown


def _real_table(real: "Real") -> "Table":
    """Lay out how near the pictures of both models are to real ones."""
    from decig.cli.tables import columns

    shown = columns("to real pictures", right=("reference", "candidate", ""))
    for sets in real.distances.values():
        kind = sets["candidate"].protocol.kind
        far = {name: each.distance for name, each in sets.items()}
        note = f"by {kind.network}"
        _add_pair(shown, "KID", {name: each.kid for name, each in far.items()}, "{:.5f}", note)
        errors = {name: each.kid_standard_error for name, each in far.items()}
        _add_pair(shown, "its standard error", errors, "{:.5f}")
        frechet = {name: each.frechet_distance for name, each in far.items()}
        _add_pair(shown, _frechet(kind), frechet, "{:.3f}")
    if real.pairs is None:
        note = f"{real.matched} of {real.inputs} images have a target of their name"
        shown.add_row("SSIM, PSNR", "-", "-", note)
        return shown
    for title, key, form in (
        ("SSIM", "ssim", "{:.4f}"),
        ("MS-SSIM", "ms_ssim", "{:.4f}"),
        ("PSNR, dB", "psnr_db", "{:.2f}"),
        ("LPIPS", "lpips", "{:.4f}"),
    ):
        values = {name: getattr(each, key) for name, each in real.pairs.items()}
        if None not in values.values():
            _add_pair(shown, title, values, form)
    return shown


def _add_pair(
    table: "Table", title: str, values: Mapping[str, float], form: str, note: str = ""
) -> None:
    table.add_row(title, form.format(values["reference"]), form.format(values["candidate"]), note)
