"""How well a cost table predicts the latency of widths that it never saw.

    python benchmarks/prediction.py MODEL.onnx... [--plans 20] [--threads 1] [--tables DIR]

For each model: a cost table as `decig profile` takes it, with the rewrites that pay (or the table
that DIR holds from an earlier run), then random plans of two kinds, with widths on the device's
stairs (what the planner chooses from) and with any widths. Each plan runs in turns with the whole
model, and its latency is that of the table times the ratio of the two: the machine may be faster
or slower than when the table was taken.
"""

from pathlib import Path

import click
import numpy as np
import onnx

from decig.deploy.profiling import REWRITES, profile_as_deployed
from decig.device.predict import Predictor
from decig.device.profile import profile_model
from decig.device.session import DeviceOptions, open_session, random_feeds, runs_on_cpu
from decig.device.table import CostTable
from decig.device.timing import time_and_share, time_once
from decig.graph import rewrite
from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import Model, load_model
from decig.graph.plan import plan_from_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

RESULTS = Path(__file__).parent / "results"
NARROWEST = 1 / 8
RUNS = (7, 60)
SECONDS = 3.0


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--plans", default=20, show_default=True, help="Random plans of each kind.")
@click.option("--threads", default=1, show_default=True)
@click.option("--ep", default="cpu", show_default=True)
@click.option("--seed", default=1234, show_default=True)
@click.option("--rewrites/--no-rewrites", default=True, show_default=True)
@click.option("--tables", type=click.Path(path_type=Path), help="Folder of cost tables to reuse.")
def main(
    models: tuple[Path, ...],
    plans: int,
    threads: int,
    ep: str,
    seed: int,
    rewrites: bool,
    tables: Path | None,
) -> None:
    """Print the table and write it to results/prediction.md."""
    options = DeviceOptions(ep, threads=threads)
    lines = [
        "| model | widths | latency, ms | plans, ms | median error | worst error | bias |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in models:
        model = load_model(path)
        table = _table(model, options, rewrites, tables)
        predictor = Predictor(table)
        bench = _Bench(model, options, predictor, table.model.get(REWRITES, []))
        for kind in ("stairs", "any"):
            widths = _random_widths(predictor, plans, kind, np.random.default_rng(seed))
            error, measured = bench.errors(widths)
            lines.append(
                f"| {path.stem} | {kind} | {predictor.baseline_ms:.1f} "
                f"| {measured.min():.1f} to {measured.max():.1f} "
                f"| {np.median(np.abs(error)):.1%} | {np.abs(error).max():.1%} "
                f"| {np.median(error):+.1%} |"
            )
            click.echo(lines[-1], err=True)
    RESULTS.mkdir(exist_ok=True)
    text = "\n".join(lines) + f"\n\n{options.provider}, {options.threads} thread(s).\n"
    (RESULTS / "prediction.md").write_text(text)
    click.echo(text)


class _Bench:
    """Measures plans of one model next to the whole of it."""

    def __init__(
        self, model: Model, options: DeviceOptions, predictor: Predictor, rules: list[str]
    ) -> None:
        self.model, self.options, self.predictor, self.rules = model, options, predictor, rules
        self.channels: ChannelMap = analyse(model.proto)
        self.scores = magnitude_scores(model.proto, self.channels)
        self.whole = self._call(model.proto)

    def errors(self, designs: list[dict[str, int]]) -> tuple[np.ndarray, np.ndarray]:
        """Relative errors and measured milliseconds of each design."""
        measured = np.array([self._measure(widths) for widths in designs])
        predicted = np.array([self.predictor.predict_ms(widths) for widths in designs])
        return predicted / measured - 1.0, measured

    def _measure(self, widths: dict[str, int]) -> float:
        plan = plan_from_widths(self.channels, widths, self.scores, self.model.sha256)
        calls = [self._call(slice_graph(self.model.proto, self.channels, plan)), self.whole]
        for call in calls:
            call()
        fewest, most = RUNS
        spent: list[list[float]] = []
        while len(spent) < fewest or (len(spent) < most and np.sum(spent) < SECONDS * 1e6):
            spent.append([self._time(call) for call in calls])
        plan_us, whole_us = np.median(spent, axis=0)
        return float(self.predictor.baseline_ms * plan_us / whole_us)

    def _time(self, call) -> float:
        """Microseconds of one run, without what other programs took of them."""
        if not runs_on_cpu(self.options):
            return time_once(call)
        wall, share = time_and_share(call, self.options.threads)
        return wall * share

    def _call(self, proto: onnx.ModelProto):
        session = open_session(rewrite.apply(proto, self.rules)[0], self.options)
        feeds = random_feeds(session)
        return lambda: session.run(None, feeds)


def _table(model: Model, options: DeviceOptions, rewrites: bool, folder: Path | None) -> CostTable:
    name = "-".join([model.path.stem, options.provider, str(options.threads), str(rewrites)])
    path = folder and folder / f"{name}.json"
    if path and path.exists():
        return CostTable.load(path)
    if rewrites:
        table = profile_as_deployed(model, options, lambda done, total: None)
    else:
        table = profile_model(model, options)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.save(path)
    return table


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
                width = min(predictor.candidates[name], key=lambda w, at=width: abs(w - at))
            design[name] = width
        designs.append(design)
    return designs


if __name__ == "__main__":
    main()
