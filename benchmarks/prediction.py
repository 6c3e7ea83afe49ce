"""How well a cost table predicts the latency of widths that it never saw.

    python benchmarks/prediction.py MODEL... [--ep cpu] [--threads 1] [--plans 20] [--tables DIR]

For each model: a cost table as `decig profile` takes it (or the one that DIR holds from an earlier
run), then random plans of two kinds, with widths on the device's stairs (what the planner chooses
from) and with any widths. Each plan runs between runs of the whole model, at the pace at which the
table was taken (`decig.device.measure.pace`). Each device adds its rows to results/prediction.md,
under the machine that it is part of.
"""

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from tables import cost_table, described, machine, merged, named, write_by_machine

from decig.cli.options import device_options
from decig.cli.values import FOLDER
from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable
from decig.device.measure.pace import latency_at_pace
from decig.device.measure.rewriting import timed_run
from decig.device.run.device import Device
from decig.device.run.runs import UndisturbedRun
from decig.device.run.timing import Timing
from decig.graph import rewrite
from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import Model
from decig.graph.plan import plan_from_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

MEDIAN, WORST = 0.05, 0.12
"""Goals for the errors."""
NARROWEST = 1 / 8
TIMING = Timing(max_runs=1_000_000, max_seconds=4.0)
"""How long a plan is timed."""
PATIENCE = 60.0
"""How long the pace at which the table was taken is waited for, in seconds."""
HEADER = (
    "| model | device | widths | latency, ms | plans, ms | median error | worst error | bias "
    "| within 5 % and 12 % |\n|---|---|---|---:|---|---:|---:|---:|---|"
)


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--plans", default=20, show_default=True, help="Random plans of each kind.")
@device_options
@click.option("--seed", default=1234, show_default=True)
@click.option("--tables", type=FOLDER, default=Path("runs/tables"), help="Cost tables to reuse.")
def main(models: tuple[str, ...], plans: int, device: Device, seed: int, tables: Path) -> None:
    """Print the table and add it to results/prediction.md."""
    rows, sources = [], named(models)
    click.echo(HEADER)
    for name, source in sources:
        started = time.monotonic()
        table = cost_table(name, source, device, tables)
        click.echo(f"{name}: table ready after {time.monotonic() - started:.0f} s", err=True)
        bench = _Bench(source.model, device, table)
        for kind in ("stairs", "any"):
            widths = _random_widths(bench.predictor, plans, kind, np.random.default_rng(seed))
            where = {"ep": described(device), "threads": device.threads}
            rows.append({"model": name, **where, **bench.row(kind, widths)})
            click.echo(_line(rows[-1]))
    keys = ("machine", "model", "ep", "threads", "widths")
    found = merged("prediction.json", rows, keys)
    write_by_machine("prediction.md", HEADER, [(row["machine"], _line(row)) for row in found])


class _Bench:
    """Measures plans of one model next to the whole of it."""

    def __init__(self, model: Model, device: Device, table: CostTable) -> None:
        self.model, self.device, self.table = model, device, table
        self.predictor = Predictor(table)
        self.rules = table.rewrites
        self.channels: ChannelMap = analyse(model.proto)
        self.scores = magnitude_scores(model.proto, self.channels)
        self.whole = self._call(model.proto)

    def row(self, kind: str, designs: list[dict[str, int]]) -> dict[str, Any]:
        """Errors over the designs."""
        measured = np.array([self._measure(widths) for widths in designs])
        predicted = np.array([self.predictor.predict_ms(widths) for widths in designs])
        return {
            "widths": kind,
            "machine": machine(self.table),
            "latency_ms": self.predictor.baseline_ms,
            "measured_ms": [round(float(ms), 3) for ms in measured],
            "predicted_ms": [round(float(ms), 3) for ms in predicted],
        }

    def _measure(self, widths: dict[str, int]) -> float:
        plan = plan_from_widths(self.channels, widths, self.scores, self.model.sha256)
        slim = self._call(slice_graph(self.model.proto, self.channels, plan))
        whole_us = self.table.latency_us.median
        found = latency_at_pace(slim, self.whole, whole_us, TIMING, patience_seconds=PATIENCE)
        return found.median_ms

    def _call(self, proto: onnx.ModelProto) -> UndisturbedRun:
        return timed_run(rewrite.apply(proto, self.rules)[0], self.device)


def _random_widths(
    predictor: Predictor, count: int, kind: str, generator: np.random.Generator
) -> list[dict[str, int]]:
    """Plans of all sizes: a share for the whole plan, and half to one and a half of it a group."""
    designs = []
    for overall in generator.uniform(NARROWEST, 1.0, count):
        design = {}
        for name, full in predictor.groups.items():
            share = np.clip(overall * generator.uniform(0.5, 1.5), NARROWEST, 1.0)
            width = max(min(4, full), round(full * share))
            if kind == "stairs":
                width = min(predictor.candidates[name], key=lambda w, at=width: abs(w - at))  # type: ignore[misc]
            design[name] = width
        designs.append(design)
    return designs


def _line(row: dict[str, Any]) -> str:
    measured, predicted = np.array(row["measured_ms"]), np.array(row["predicted_ms"])
    error = predicted / measured - 1.0
    median, worst = np.median(np.abs(error)), np.abs(error).max()
    cells = [
        row["model"],
        f"{row['ep']}, {row['threads']} thread{'s' * (row['threads'] > 1)}",
        row["widths"],
        f"{row['latency_ms']:.1f}",
        f"{measured.min():.1f} to {measured.max():.1f}",
        f"{median:.1%}",
        f"{worst:.1%}",
        f"{np.median(error):+.1%}",
        "yes" if median <= MEDIAN and worst <= WORST else "NO",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
