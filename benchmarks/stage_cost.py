"""What the stages of decig's methods add to a training step.

python benchmarks/stage_cost.py                                  (15 minutes, needs '.[train]')

Stage I next to plain distillation of the full-width student, stage II next to plain distillation
of the sliced one, a step of hypernet next to plain distillation of the graph that it shrinks, and a
step of supernet next to plain distillation of its networks one after the other. All take the same
crops; the teacher paints new ones at every step, but none where networks are added up, which would
count it for each. The steps that are compared take turns.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from jobs import BENCHMARKS, SHARED
from options import one_line_errors, pixel_flags
from training_steps import Step, Work, slim

from decig.cli.values import EXISTING, EXISTING_FILE, EXISTING_FOLDER, FOLDER, value_range
from decig.device.run.timing import Latency, Timing, measure_interleaved
from decig.files import write_bytes
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.training.config import Config

LIMITS = {"stage I": 1.10, "stage II": 1.02, "supernet": 1.30}
"""Times as long as plain distillation that a step may take."""
STAGES = ("stage I", "stage II", "supernet", "hypernet")
_SHARES = (0.5, 0.75, 1.0)
"""Widths of the networks that a step of the supernet trains, as shares of its widest."""


@dataclass(frozen=True)
class Compared:
    """A stage's step beside what it is compared with.

    Attributes:
        name: of the stage.
        stage: its step.
        plain: steps of plain distillation whose times are added up.
    """

    name: str
    stage: Step
    plain: Mapping[str, Step]

    def measure(self, rounds: int) -> str:
        """Time all steps in turns; returns a line of the table."""
        timing = Timing(min_runs=rounds, max_runs=rounds, warm_up=3)
        found = measure_interleaved({"": self.stage, **self.plain}, timing)
        stage = found.pop("")
        return _line(self.name, list(found.values()), stage)


def _line(name: str, plain: list[Latency], stage: Latency) -> str:
    whole = sum(each.median for each in plain)
    ratio, limit = stage.median / whole, LIMITS.get(name)
    # Errors of medians are independent; those of a sum add up as squares.
    error = math.hypot(*(each.median * each.uncertainty for each in plain)) / whole
    spread = ratio * math.hypot(error, stage.uncertainty)
    parts = " + ".join(f"{each.median_ms:.1f} ({each.mad / 1000:.1f})" for each in plain)
    kept = "-" if limit is None else "yes" if ratio <= limit else "NO"
    cells = [
        name,
        parts,
        f"{stage.median_ms:.1f} ({stage.mad / 1000:.1f})",
        f"{1e6 / whole:.2f}",
        f"{1e6 / stage.median:.2f}",
        f"{ratio:.3f} ± {spread:.3f}",
        "-" if limit is None else f"{limit:.2f}",
        kept,
    ]
    return f"| {' | '.join(cells)} |"


def comparisons(work: Work, keep: float) -> dict[str, Callable[[], Compared]]:
    """What sets the steps of each stage up, by its name.

    Args:
        work: the net.
        keep: share of the channels in stage II, in hypernet and in the widest of supernet.
    """
    full = work.model.proto
    sliced, _ = slim(full, keep)

    def stage_one() -> Compared:
        return Compared("stage I", work.stage_one(full), {"plain": work.plain(full)})

    def stage_two() -> Compared:
        return Compared("stage II", work.stage_two(sliced), {"plain": work.plain(sliced)})

    def supernet() -> Compared:
        parts = [slim(sliced, share) for share in _SHARES]
        names = [f"{share:g}" for share in _SHARES]
        plain = [work.plain(part, paints=False) for part, _ in parts]
        step = work.sandwich(sliced, [widths for _, widths in parts])
        return Compared("supernet", step, dict(zip(names, plain, strict=True)))

    def hypernet() -> Compared:
        return Compared("hypernet", work.hypernet(sliced), {"plain": work.plain(sliced)})

    return dict(zip(STAGES, (stage_one, stage_two, supernet, hypernet), strict=True))


@click.command()
@click.option("--model", type=EXISTING, default=SHARED / "suite" / "udnie.onnx")
@click.option("--data", type=EXISTING_FOLDER, default=SHARED / "data" / "photos" / "train")
@click.option("--input-range", type=value_range, help="Of ONNX files; 0,255 if unsaid.")
@click.option("--output-range", type=value_range, help="Of ONNX files; 0,255 if unsaid.")
@click.option("--keep", type=float, default=0.5, help="Share of the channels behind stage I.")
@click.option("--config", type=EXISTING_FILE, help="Settings of compress.")
@click.option("--only", type=click.Choice(STAGES), multiple=True, help="Just these stages.")
@click.option("--rounds", type=int, default=60)
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results")
def main(
    model: Path,
    data: Path,
    input_range: tuple[float, float] | None,
    output_range: tuple[float, float] | None,
    keep: float,
    config: Path | None,
    only: tuple[str, ...],
    rounds: int,
    results: Path,
) -> None:
    """Print and write the table."""
    torch.set_num_threads(1)
    with one_line_errors():
        flags = pixel_flags(model, PixelFlags(input_range, output_range))
        source = resolve(str(model), flags)
        work = Work(source.model, data, source.require_pixels(), Config.read(config))
        lines = [
            f"# Cost of a training step: {model.stem}, one thread, {rounds} rounds",
            "",
            "| stage | plain steps, ms (MAD) | stage's step, ms (MAD) | plain steps per second "
            "| stage's | ratio | limit | kept |",
            "|" + " --- |" * 8,
        ]
        made = comparisons(work, keep)
        for name in only or STAGES:
            print(f"measuring {name}", flush=True)
            lines.append(made[name]().measure(rounds))
    results.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*lines, ""])
    write_bytes(results / "stage_cost.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
