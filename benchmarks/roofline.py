"""How far generators are from the limits of the device, node by node.

    python benchmarks/roofline.py [MODEL...] [--threads N] [--ep NAME]

Each model as it is, with the exact rewrites that pay, and the same at a quarter of its widths:
achieved operations and bytes a second next to the measured peak and copy, and the least time that
these allow (`decig.device.measure.roofline`). Work is that of the graph before its rewrites.
Without MODEL: udnie from ../shared/suite where it is, and of models/ facades-resunet, CycleGAN's
ResNet-9 and pix2pix's U-Net-256; 10 minutes on a quiet machine.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import onnx
from rewrites import SHIPPED, narrowed
from tables import named

from decig.cli.values import FOLDER
from decig.device.measure.limits import Limits, measure_limits
from decig.device.measure.rewriting import choose_rewrites
from decig.device.measure.roofline import Roofline, RooflineEntry, measure_roofline
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.files import write_bytes
from decig.graph.model import Model

_HERE = Path(__file__).resolve().parent
_TEACHER = _HERE.parents[1] / "shared" / "suite" / "udnie.onnx"
_COSTLIEST = 15
_FIGURES = "ms | share | GFLOP/s | of peak | GB/s | of copy | bound | least, ms | of limit"
_COLUMNS = _FIGURES.count("|") + 1


def variants(
    model: Model, device: Device
) -> Iterator[tuple[str, onnx.ModelProto, onnx.ModelProto]]:
    """Name, the graph whose work counts, and the one that runs."""
    yield "as it is", model.proto, model.proto
    yield "rewritten", model.proto, choose_rewrites(model.proto, device).proto
    quarter = narrowed(model, 0.25)
    yield "a quarter of its widths, rewritten", quarter, choose_rewrites(quarter, device).proto


def figures(part: RooflineEntry, whole: RooflineEntry, limits: Limits) -> str:
    """Cells of one row."""
    return " | ".join(
        (
            f"{part.latency_us / 1e3:.3f}",
            f"{part.latency_us / whole.latency_us:.1%}",
            f"{part.gflops:.1f}" if part.work.macs else "-",
            f"{part.gflops / limits.gflops:.0%}" if part.work.macs else "-",
            f"{part.gbytes_per_s:.2f}",
            f"{part.gbytes_per_s / limits.gbytes_per_s:.0%}",
            part.bound,
            f"{part.least_us / 1e3:.3f}",
            f"{part.of_limit:.0%}",
        )
    )


def node_table(found: Roofline) -> list[str]:
    """The costliest nodes, then all others in one row."""
    shown = found.costliest(_COSTLIEST)
    rows = [(f"`{part.name}`", part.op, part) for part in shown]
    rest = [part for part in found.nodes if part not in shown]
    if rest:
        rows.append((f"{len(rest)} others", "", found.together(rest)))
    cells = [(*names, figures(part, found.whole, found.limits)) for *names, part in rows]
    return [
        f"| node | op | {_FIGURES} |",
        "| --- | --- |" + " ---: |" * _COLUMNS,
        *(f"| {' | '.join(row)} |" for row in cells),
    ]


@click.command()
@click.argument("models", nargs=-1)
@click.option("--threads", default=1, show_default=True)
@click.option("--ep", default="cpu", show_default=True)
@click.option("--results", type=FOLDER, default=_HERE / "results")
def main(models: tuple[str, ...], threads: int, ep: str, results: Path) -> None:
    """Print the tables and write them to roofline.md."""
    default = [str(path) for path in (_TEACHER, *SHIPPED) if path.exists()]
    sources = named(models or default)
    device = Device.of(ep, threads=threads)
    limits = measure_limits(device)
    if limits is None:
        raise DecigError(f"{ep}: its limits cannot be measured")
    summary, tables = [], []
    for name, source in sources:
        for variant, counted, run in variants(source.model, device):
            found = measure_roofline(counted, run, device, limits)
            row = figures(found.whole, found.whole, limits)
            summary.append(f"| {name} | {variant} | {row} |")
            click.echo(summary[-1], err=True)
            tables += ["", f"## {name}, {variant}", "", *node_table(found)]
    here = device.fingerprint()
    lines = [
        "# Distance from the limits of the device",
        "",
        f"{here.computes}, {here.cores} cores, ONNX Runtime "
        f"{here.onnxruntime}, {here.provider}, {threads} thread(s). Measured limits: "
        f"{limits.gflops:.1f} GFLOP/s, {limits.gbytes_per_s:.1f} GB/s.",
        "",
        f"| model | variant | {_FIGURES} |",
        "| --- | --- |" + " ---: |" * _COLUMNS,
        *summary,
        *tables,
        "",
    ]
    results.mkdir(parents=True, exist_ok=True)
    write_bytes(results / "roofline.md", "\n".join(lines).encode())
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
