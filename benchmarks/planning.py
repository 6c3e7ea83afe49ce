"""Is a latency target met, and what is kept at it, next to planning by multiply-accumulates?

    python benchmarks/planning.py MODEL... [--targets 1.5,2,4,8,16] [--tables DIR] [--images DIR]

For each model: a cost table as `decig profile` takes it (or the one that DIR holds from an earlier
run), then for each target the plan that `decig slice --target-latency` makes: planned, measured as
deployed, tightened. Beside it two plans of the same solver with the same importance, but with the
multiply-accumulates of the model as it is instead of predicted time, and 64 widths a group in
the place of stairs: one cut until its measured latency is that of decig's plan, one cut until it
keeps no more importance than decig's. In the end all run in turns with the whole model;
milliseconds are that ratio times the table's latency.

Importance kept by widths w, with loss_g(k) what is lost if the k best channels of group g stay and
4 the narrowest width of any plan:

    kept(w) = 1 - sum_g loss_g(w_g) / sum_g loss_g(4)

Importance is by magnitude; with --images, by the error of the picture (`decig slice --repair`).
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import onnx
from bound import Bound
from macs import MacsCost
from tables import cost_table, described, machine, merged, named, write_by_machine

from decig.cli.options import device_options, pixel_options
from decig.cli.values import FOLDER
from decig.deploy.cutter import Cutter
from decig.device.cost.table import Widths
from decig.device.measure.rewriting import time_graphs
from decig.device.plan.planner import fastest_widths, plan_widths
from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.errors import TargetMissedError
from decig.graph import rewrite
from decig.graph.plan import FLOOR, Plan
from decig.graph.slicing import slice_graph
from decig.source.flags import PixelFlags
from decig.source.source import Source

BAND = (0.85, 1.03)
"""Of the measured latency to its target."""
WHOLE = 1 - 1e-9
MORE_KEPT, LESS_TIME = 1.10, 0.85
"""Against planning by multiply-accumulates: either at equal latency or at equal importance."""

_TRIALS, _CLOSE, _OVER = 10, 0.98, 1.01
"""Of cutting until the same latency: measurements, and what counts as the same."""
_HALVINGS, _NEAR = 16, 0.01
"""Of the search for equal importance: steps, and what may be lost more, as a share of it."""


@dataclass(frozen=True)
class Row:
    """One target.

    Attributes:
        machine: the processor or the accelerator.
        model: its name.
        provider, threads: the device.
        importance: what it is scored by, magnitude or picture.
        speedup: asked for, over the model without rewrites.
        target_ms: that in milliseconds.
        measured_ms: of decig's plan, or of the fastest there is where the target is out of reach.
        reached: whether there is a plan.
        kept: importance kept.
        macs_ms: measured latency of the plan by multiply-accumulates that was cut until it is as
            fast, None without one.
        macs_kept: what that plan keeps.
        equal_ms: measured latency of the one that was cut until it keeps no more.
        equal_kept: what that plan keeps.
        bound_kept: what no widths could keep more of at the predicted latency of the first of
            these two (`bound.py`).
        bound_ms: latency below which no widths keep what the second one does, predicted, in
            proportion to what was predicted of it and measured.
    """

    machine: str
    model: str
    provider: str
    threads: int
    importance: str
    speedup: float
    target_ms: float
    measured_ms: float
    reached: bool
    kept: float | None = None
    macs_ms: float | None = None
    macs_kept: float | None = None
    equal_ms: float | None = None
    equal_kept: float | None = None
    bound_kept: float | None = None
    bound_ms: float | None = None

    @property
    def on_target(self) -> bool:
        """Whether the latency is in the band, or the fastest there is really misses it."""
        share = self.measured_ms / self.target_ms
        return BAND[0] <= share <= BAND[1] if self.reached else share > 1

    @property
    def better(self) -> bool | None:
        """Whether it beats planning by multiply-accumulates by the margin asked.

        None where there is nothing to compare: no plan, or one that keeps the whole model.
        """
        if self.kept is None or self.macs_kept is None or self.equal_ms is None:
            return None
        if self.kept >= WHOLE:
            return None
        more_kept = self.kept >= MORE_KEPT * self.macs_kept
        return more_kept or self.measured_ms <= LESS_TIME * self.equal_ms

    def line(self) -> str:
        """Return the row of the table."""
        device = f"{self.provider}, {self.threads}"
        cells = [self.model, device, self.importance, f"{self.speedup:g}", f"{self.target_ms:.2f}"]
        cells.append(f"{self.measured_ms:.2f}" + ("" if self.reached else " (fastest)"))
        cells.append(f"{self.measured_ms / self.target_ms:.1%}")
        cells.append(_word(self.on_target))
        cells.append("" if self.kept is None else f"{self.kept:.3f}")
        cells += _against(self) if self.macs_kept is not None else [""] * 9
        return f"| {' | '.join(cells)} |"


HEADER = (
    "| model | device | importance | times faster | target, ms | measured, ms | of it | in band "
    "| kept | MACs, as fast: ms | kept | more kept | at most | MACs, as good: ms | kept | time "
    "| at best | margin |\n"
    "|---|---|---|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
)


class Bench:
    """Plans of one model, planned and measured."""

    def __init__(self, name: str, source: Source, device: Device, cutter: Cutter) -> None:
        assert cutter.target is not None
        importance = "magnitude" if cutter.pictures is None else "picture"
        where = (described(device), device.threads)
        self.about = (machine(cutter.target.table), name, *where, importance)
        self.device, self.cutter, self.target = device, cutter, cutter.target
        self.table = self.target.table
        self.predictor, self.loss = self.target.predictor, cutter.loss
        self.most = sum(float(loss[min(FLOOR, len(loss) - 1)]) for loss in self.loss.values())
        self.bound = Bound(self.predictor, self.loss)
        self.macs = MacsCost(source.model.proto, self.table)
        assert self.target.bench is not None
        self.measure = self.target.bench.latency
        self.whole = source.model.proto

    def row(self, speedup: float) -> Row:
        """Plan both ways for a target and time the results in turns."""
        target = self.target.as_it_is_ms / speedup
        try:
            ours = self._widths(self.cutter.reach(target).plan)
        except TargetMissedError:
            (fastest,) = self._judge(fastest_widths(self.predictor, self.predictor.groups))
            return Row(*self.about, speedup, target, fastest, reached=False)
        kept = self.kept(ours)
        theirs = self.cut_until(self._time(ours)) if kept < WHOLE else None
        if theirs is None:
            (measured,) = self._judge(ours)
            return Row(*self.about, speedup, target, measured, True, kept)
        equal = self.cut_to(kept)
        measured, macs_ms, equal_ms = self._judge(ours, theirs, equal)
        if equal_ms <= measured * _OVER and self.kept(equal) > self.kept(theirs):
            # One measurement more found a better plan that is as fast.
            theirs, macs_ms = equal, equal_ms
        self.macs.calibrate(theirs, macs_ms)
        most = 1.0 - self.bound.loss(self.predictor.predict_ms(theirs)) / self.most
        least = self.bound.ms(self._lost(equal)) / self.predictor.predict_ms(equal) * equal_ms
        macs = (macs_ms, self.kept(theirs), equal_ms, self.kept(equal), most, least)
        return Row(*self.about, speedup, target, measured, True, kept, *macs)

    def kept(self, widths: Widths) -> float:
        """Share of the importance that widths keep."""
        return 1.0 - self._lost(widths) / self.most

    def _lost(self, widths: Widths) -> float:
        return float(sum(loss[widths[name]] for name, loss in self.loss.items()))

    def cut_until(self, ms: float) -> Widths | None:
        """Cut multiply-accumulates until a plan is measured to take so long; None if none does.

        Of those that were measured and fit, the plan that keeps most.
        """
        low, high = (self.macs.predict_ms(plan) for plan in self._ends())
        best: Widths | None = None
        aim = float(np.clip(ms, low, high))
        for trial in range(_TRIALS):
            plan = plan_widths(self.macs, self.loss, aim)
            found = self._time(plan)
            if found <= ms * _OVER:
                low = aim
                best = plan if best is None else max(best, plan, key=self.kept)
            else:
                high = aim
            if _CLOSE <= found / ms <= _OVER or low >= high:
                break
            # In proportion, then by halves: unaligned widths may be slower than wider ones.
            middle, near = float(np.sqrt(low * high)), aim * ms / found
            aim = near if low < near < high and trial < _TRIALS // 2 else middle
        if best is None and self._time(self._ends()[0]) <= ms * _OVER:
            best = self._ends()[0]
        return best

    def _ends(self) -> tuple[Widths, Widths]:
        return fastest_widths(self.macs, self.macs.groups), self.macs.groups

    def cut_to(self, kept: float) -> Widths:
        """Plan by multiply-accumulates that keeps no more than that, but hardly less."""
        plan, _ = self._ends()
        ends = [self.macs.predict_ms(end) for end in self._ends()]
        for _ in range(_HALVINGS):
            middle = float(np.sqrt(ends[0] * ends[1]))
            found = plan_widths(self.macs, self.loss, middle)
            short = kept - self.kept(found)
            ends[short < 0] = middle
            if short >= 0:
                plan = found
            if 0 <= short <= _NEAR * (1 - kept):
                break
        return plan

    def _time(self, widths: Widths) -> float:
        return self.measure(self._sliced(widths)).median_ms

    def _judge(self, *plans: Widths) -> list[float]:
        """Milliseconds of plans that run in turns with the whole model."""
        graphs = {"whole": self.whole} | {str(i): self._sliced(p) for i, p in enumerate(plans)}
        deployed = {
            name: rewrite.apply(proto, self.target.rewrites(proto))[0]
            for name, proto in graphs.items()
        }
        times = time_graphs(deployed, self.device)
        ms = self.table.latency_us.median_ms / times["whole"].median
        return [ms * times[str(index)].median for index in range(len(plans))]

    def _sliced(self, widths: Widths) -> onnx.ModelProto:
        return slice_graph(self.whole, self.cutter.channels, self.cutter.best(widths))

    def _widths(self, plan: Plan) -> Widths:
        return self.predictor.groups | {name: len(kept) for name, kept in plan.keep.items()}


def _against(row: Row) -> list[str]:
    """Cells of the comparison with planning by multiply-accumulates."""
    assert row.kept is not None and row.macs_kept is not None and row.equal_ms is not None
    assert row.bound_kept is not None and row.bound_ms is not None
    return [
        f"{row.macs_ms:.2f}",
        f"{row.macs_kept:.3f}",
        f"{row.kept / row.macs_kept - 1:+.1%}",
        f"{row.bound_kept / row.macs_kept - 1:+.1%}",
        f"{row.equal_ms:.2f}",
        f"{row.equal_kept:.3f}",
        f"{row.measured_ms / row.equal_ms - 1:+.1%}",
        f"{row.bound_ms / row.equal_ms - 1:+.1%}",
        _word(row.better),
    ]


def _word(holds: bool | None) -> str:
    return {True: "yes", False: "NO", None: ""}[holds]


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--targets", default="1.5,2,4,8,16", show_default=True, help="Times faster.")
@device_options
@click.option("--tables", type=FOLDER, default=Path("runs/tables"), help="Cost tables to reuse.")
@click.option("--images", type=FOLDER, help="Importance by the picture's error on these.")
@pixel_options
def main(
    models: tuple[str, ...],
    targets: str,
    device: Device,
    tables: Path,
    images: Path | None,
    flags: PixelFlags,
) -> None:
    """Print the table and add it to results/planning.md and planning.json."""
    rows, sources = [], named(models, flags)
    click.echo(HEADER)
    for name, source in sources:
        table = cost_table(name, source, device, tables)
        cutter = Cutter(source, Target.of(table, source.model, force=False), images)
        bench = Bench(name, source, device, cutter)
        for speedup in map(float, targets.split(",")):
            rows.append(bench.row(speedup))
            click.echo(rows[-1].line())
    keys = ("machine", "model", "provider", "threads", "importance", "speedup")
    found = merged("planning.json", [asdict(row) for row in rows], keys)
    found.sort(key=lambda row: [row[key] for key in keys])
    lines = [(row["machine"], Row(**row).line()) for row in found]
    write_by_machine("planning.md", HEADER, lines)


if __name__ == "__main__":
    main()
