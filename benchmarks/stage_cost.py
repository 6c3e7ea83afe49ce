"""What decig's stages add to a training step.

python benchmarks/stage_cost.py                                   (5 minutes, needs '.[train]')

Stage I next to plain distillation of the full-width student, stage II next to plain distillation
of the sliced one. Plain is written out below: no proximal step, no running mean, no schedule.
All take the same crops, the teacher paints new ones at every step, and the steps take turns.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import onnx
import torch
from jobs import BENCHMARKS
from peers.training import distillation

from decig.cli.values import FILE, FOLDER, value_range
from decig.data.pixels import PixelFormat
from decig.device.run.timing import Latency, Timing, measure_interleaved
from decig.files import write_bytes
from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.train.condense import Condenser, Steered
from decig.train.config import Config
from decig.train.engine import Engine
from decig.train.losses.output import OutputLoss, picture_of
from decig.train.module import build_module, parameters_by_initializer
from decig.train.precision import Precision
from decig.train.schedule import Budget, constant

_SHARED = BENCHMARKS.parents[1] / "shared"
LIMITS = {"stage I": 1.10, "stage II": 1.02}

Step = Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Bench:
    """Makes the engines whose steps are compared."""

    model: Path
    data: Path
    pixels: PixelFormat
    config: Config

    def engine(self, proto: onnx.ModelProto) -> Engine:
        """Set decig's engine up to train the graph `proto`."""
        student = build_module(proto, input_size=(self.config.distil.crop,) * 2)
        budget = Budget(steps=0)
        return distillation(student, self.model, self.data, self.pixels, self.config, budget)

    def stage_one(self, proto: onnx.ModelProto) -> Engine:
        """Add the proximal step, and now and then the count of live channels, as stage I does."""
        engine, channels = self.engine(proto), analyse(proto)
        student = engine.task.student
        costs = {group.name: 1.0 for group in channels.prunable}
        condenser = Condenser(parameters_by_initializer(student), channels, costs)
        engine.parts = (Steered(condenser, constant, lambda widths: 1.0, 1.0, 1.0),)
        return engine

    def plain_step(self, engine: Engine) -> Step:
        """One step of plain distillation with an engine's student, crops, loss and precision."""
        task, train, settings = engine.task, self.config.train, self.config.distil
        optimiser = torch.optim.Adam(task.student.parameters(), train.learning_rate)
        precision = Precision.named(train.precision, engine.processes.device.type)
        compared = OutputLoss(settings.chroma, settings.gradient, settings.structure)
        student = task.student.train()
        done = 0

        def step() -> None:
            nonlocal done
            batch = task.batch(done)
            picture = picture_of(precision.run(student, batch.source)[0], self.pixels)
            loss = compared(picture, batch.teacher)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1

        return step


def stage_step(engine: Engine) -> Step:
    """One step of decig's engine, whatever the stage has put into it."""

    def step() -> None:
        # The share of the budget only sets the learning rate.
        engine.budget = Budget(steps=engine.step + 1)
        engine.run()

    return step


def compare(plain: Step, stage: Step, rounds: int) -> tuple[Latency, Latency]:
    """Time both steps in turns."""
    timing = Timing(min_runs=rounds, max_runs=rounds, warm_up=3)
    found = measure_interleaved({"plain": plain, "stage": stage}, timing)
    return found["plain"], found["stage"]


def _line(name: str, plain: Latency, stage: Latency) -> str:
    ratio, limit = stage.median / plain.median, LIMITS[name]
    figures = (f"{t.median_ms:.1f} ({t.mad / 1000:.1f})" for t in (plain, stage))
    word = "yes" if ratio <= limit else "NO"
    return f"| {name} | {' | '.join(figures)} | {ratio:.3f} | {limit:.2f} | {word} |"


@click.command()
@click.option("--model", type=FILE, default=_SHARED / "suite" / "udnie.onnx")
@click.option("--data", type=FOLDER, default=_SHARED / "data" / "photos" / "train")
@click.option("--input-range", type=value_range, default="0,255")
@click.option("--output-range", type=value_range, default="0,255")
@click.option("--keep", type=float, default=0.5, help="Share of the channels in stage II.")
@click.option("--rounds", type=int, default=60)
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results")
def main(
    model: Path,
    data: Path,
    input_range: tuple[float, float],
    output_range: tuple[float, float],
    keep: float,
    rounds: int,
    results: Path,
) -> None:
    """Print and write the table."""
    torch.set_num_threads(1)
    pixels = PixelFormat(input_range, output_range)
    config = Config.read(None)
    every_step = msgspec.structs.replace(config.distil, refresh=1, pool=1)
    bench = Bench(model, data, pixels, dataclasses.replace(config, distil=every_step))
    full = load_model(model)
    channels = analyse(full.proto)
    scores = magnitude_scores(full.proto, channels)
    widths = uniform_widths(channels, keep)
    plan = plan_from_widths(channels, widths, scores, full.sha256)
    slim = slice_graph(full.proto, channels, plan)
    pairs = {
        "stage I": (bench.engine(full.proto), bench.stage_one(full.proto)),
        "stage II": (bench.engine(slim), bench.engine(slim)),
    }
    lines = [
        f"# Cost of a training step: {model.stem}, one thread, {rounds} rounds",
        "",
        "| stage | plain step, ms (MAD) | stage's step, ms (MAD) | ratio | limit | kept |",
        "|" + " --- |" * 6,
    ]
    for name, (plain, stage) in pairs.items():
        lines.append(_line(name, *compare(bench.plain_step(plain), stage_step(stage), rounds)))
    results.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*lines, ""])
    write_bytes(results / "stage_cost.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
