"""What each exact rewrite gains: layers on their own, then whole generators.

    python benchmarks/rewrites.py [MODEL...] [--seconds S] [--no-layers]

CPU provider, one thread, ONNX Runtime's full optimisation before and after, runs in turns, medians.
The clock is that of the thread that computes, so it stands still while other processes run; on an
idle machine it is the latency. The spread is the median absolute deviation. The difference is the
largest one of the outputs, relative to their range. A layer is followed by an
InstanceNormalization, as in a generator. The generators are taken at full, half and quarter width;
"those that pay" are the rules that `decig export` keeps on this machine. 15 minutes without MODEL.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import onnx
from onnxruntime import InferenceSession
from rewrite_layers import ENLARGING, HEADS, UPSAMPLING, layers
from tables import named

from decig.cli.values import FOLDER
from decig.device.measure.rewriting import choose_rewrites
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.files import write_bytes
from decig.graph.channels import analyse
from decig.graph.model import Model, input_info
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.rewrite import CANONICAL, DEVICE, apply
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

RESULTS = Path(__file__).parent / "results"
GOALS = {
    ("udnie", 1.0): 1.35,
    ("udnie", 0.25): 1.6,
    ("cyclegan-resnet9", 0.25): 1.25,
    ("pix2pix-unet256", 1.0): 1.1,
}
"""Times faster than plain ONNX Runtime, by model and share of its width."""

_ROOT = Path(__file__).resolve().parents[1]
SHIPPED = [
    _ROOT / "models" / name for name in ("facades-resunet", "cyclegan-resnet9", "pix2pix-unet256")
]
_SUITE = _ROOT.parent / "shared" / "suite"
_HEADER = """
| rules | case | before, us | after, us | spread | ratio | difference |
|---|---|---:|---:|---:|---:|---:|"""


@click.command()
@click.argument("models", nargs=-1)
@click.option("--seconds", default=5.0, show_default=True, help="Time for one row.")
@click.option("--layers/--no-layers", "alone", default=True, help="Layers on their own too.")
@click.option("--results", type=FOLDER, default=RESULTS)
def main(models: tuple[str, ...], seconds: float, alone: bool, results: Path) -> None:
    """Print the tables and write them to results/rewrites.md.

    MODEL is what decig takes. [default: facades-resunet and those of models/ that the goals
    name, and ../shared/suite]
    """
    default = [*map(str, SHIPPED), *map(str, sorted(_SUITE.glob("*.onnx")))]
    sources = named(models or default)
    report = _Report(seconds)
    if alone:
        report.line(_HEADER)
        for rules, case, proto in layers():
            report.rows(case, proto, [rules])
    report.line(_HEADER)
    verdicts = []
    for name, source in sources:
        verdicts += report.generator(name, source.model)
    report.line("\n".join(["", *verdicts]))
    results.mkdir(parents=True, exist_ok=True)
    write_bytes(results / "rewrites.md", ("\n".join(report.lines).lstrip() + "\n").encode())


class _Report:
    """Measures, prints as it goes, and keeps the lines."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        """Print a line and keep it."""
        click.echo(text)
        self.lines.append(text)

    def generator(self, name: str, model: Model) -> list[str]:
        """Rows of a generator at three widths; returns what became of its goals."""
        joint = set(HEADS + UPSAMPLING + ENLARGING) - {"winograd"}
        alone = [(rule,) for rule in DEVICE if rule not in joint]
        verdicts = []
        for share in (1.0, 0.5, 0.25):
            graph = narrowed(model, share)
            case = f"{name}, width {share:g}"
            self.rows(case, graph, [CANONICAL, *alone, HEADS, UPSAMPLING, ENLARGING])
            kept = (*CANONICAL, *choose_rewrites(graph, Device.of()).kept)
            ratio = self.row("those that pay", case, (graph, apply(graph, kept)[0]))
            if (goal := GOALS.get((name, share))) is not None:
                word = "reached" if ratio >= goal else "MISSED"
                verdicts.append(f"- {case}: {ratio:.2f} times faster; {goal:g} asked: {word}.")
        return verdicts

    def rows(self, case: str, proto: onnx.ModelProto, choices: Sequence[Sequence[str]]) -> None:
        """Print a row for each choice of rules that finds something else to do."""
        seen = {""}
        for rules in choices:
            rewritten, applied = apply(proto, rules)
            name = ", ".join(dict.fromkeys(step.rule for step in applied))
            if name not in seen:
                seen.add(name)
                self.row(name, case, (proto, rewritten))

    def row(self, name: str, case: str, graphs: Sequence[onnx.ModelProto]) -> float:
        """Time a graph before and after its rewrite; returns how many times faster it is."""
        sessions = [Device.of().open(graph) for graph in graphs]
        random = np.random.default_rng(1)
        feeds = {v.name: random.random(v.shape).astype(np.float32) for v in input_info(graphs[0])}
        expected, actual = (session.run(None, feeds)[0] for session in sessions)
        difference = np.abs(actual - expected).max() / np.ptp(expected)
        before, after = (Latency.from_samples(s) for s in timed(sessions, feeds, self.seconds))
        spread = max(before.mad / before.median, after.mad / after.median)
        ratio = before.median / after.median
        figures = f"{before.median:.0f} | {after.median:.0f} | {spread:.1%} | {ratio:.2f}"
        self.line(f"| {name} | {case} | {figures} | {difference:.1e} |")
        return ratio


def narrowed(model: Model, share: float) -> onnx.ModelProto:
    """Keep this share of every group's channels."""
    channels = analyse(model.proto)
    widths, scores = uniform_widths(channels, share), magnitude_scores(model.proto, channels)
    plan = plan_from_widths(channels, widths, scores, model.sha256)
    return slice_graph(model.proto, channels, plan)


def timed(
    sessions: Sequence[InferenceSession], feeds: dict[str, np.ndarray], seconds: float
) -> list[list[float]]:
    """Microseconds of each session's runs, taken in turns."""
    samples: list[list[float]] = [[] for _ in sessions]
    end = time.monotonic() + seconds
    while len(samples[0]) < 5 or time.monotonic() < end:
        for session, values in zip(sessions, samples, strict=True):
            start = time.thread_time_ns()
            session.run(None, feeds)
            values.append((time.thread_time_ns() - start) / 1000.0)
    return samples


if __name__ == "__main__":
    main()
