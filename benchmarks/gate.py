"""How often is the answer of `decig check` about a latency wrong, alone and beside a busy program?

    python benchmarks/gate.py [MODEL] [--times 20] [--busy 1]      (half an hour, needs ../shared)

MODEL (udnie of ../shared/suite unless another is named) is compared with itself at half its width.
How many times faster that is, is measured first, for `--seconds` on the machine as it is. Then the
gate is asked for a little less, which it must not call missed, and for a little more, which it must
not call met, alone and beside programs that never rest.
"""

import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
from tables import RESULTS

from decig.cli.values import FOLDER
from decig.data.inputs import seeded_feeds
from decig.deploy.cutter import Cutter
from decig.device.measure.paired import Answer, Limits, PairedTimes, Patience, measure_pairs
from decig.device.run.device import Device
from decig.device.run.fingerprint import cpu_model
from decig.errors import BadInputError
from decig.files import write_bytes
from decig.source.resolve import resolve
from decig.source.source import Source

SUITE = Path(__file__).resolve().parents[2] / "shared" / "suite"
MARGIN = 0.07
"""How far the limits of the gate lie from the true ratio, as a share of it."""


class Pair:
    """A model and its half, open on one thread of the processor."""

    def __init__(self, source: Source) -> None:
        """Cut the model and open both."""
        cutter = Cutter(source)
        self._device = Device.of(threads=1)
        half = cutter.cut(cutter.keep(0.5), verify=False).proto
        self._runs = [
            self._device.prepare(self._device.open(proto), seeded_feeds(proto, source.pixels)[0])
            for proto in (source.model.proto, half)
        ]

    def measure(self, limits: Limits, patience: Patience | None = None) -> PairedTimes:
        """Time both in pairs, as `decig check` does."""
        reference, candidate = map(self._device.undisturbed, self._runs)
        return measure_pairs(reference, candidate, limits, patience)


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Let so many programs that never rest run beside."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def ask(pair: Pair, limit: float, times: int) -> tuple[Counter[Answer], float, int]:
    """Ask the gate several times; returns the answers, the share taken by others, and the runs."""
    answers: Counter[Answer] = Counter()
    disturbed, runs = 0.0, 0
    for _ in range(times):
        found = pair.measure(limits := Limits(min_speedup=limit))
        answers[found.answers(limits)["min_speedup"]] += 1
        disturbed, runs = disturbed + found.disturbed / times, runs + len(found.candidate_us)
    return answers, disturbed, runs


@click.command()
@click.argument("model", required=False)
@click.option("--times", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--busy", "beside", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True)
@click.option("--results", type=FOLDER, default=RESULTS)
def main(model: str | None, times: int, beside: int, seconds: float, results: Path) -> None:
    """Print and write the table of results/gate.md."""
    file = model or str(SUITE / "udnie.onnx")
    if model is None and not Path(file).exists():
        raise BadInputError(f"{file}: not there; name a MODEL")
    pair = Pair(resolve(file))
    firm = Patience(looks=(12, 10**6), max_seconds=seconds, firm=0.0, firm_seconds=seconds)
    quiet = pair.measure(Limits(), firm)
    truth = quiet.latency["reference"].median / quiet.latency["candidate"].median
    lines = [
        f"{Path(file).stem} and its half, {truth:.2f} times faster; {cpu_model()}, one thread; "
        f"each limit asked {times} times. `python benchmarks/gate.py {f'{model} ' if model else ''}"
        f"--times {times}{f' --busy {beside}' if beside > 1 else ''}`",
        "",
        "| limit | where | met | cannot tell | missed | wrong | taken by others | runs of each |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for share, wrong in ((1 - MARGIN, Answer.MISSED), (1 + MARGIN, Answer.MET)):
        for where, count in (("alone", 0), (f"beside {beside} busy", beside)):
            with busy(count):
                answers, disturbed, runs = ask(pair, share * truth, times)
            told = " | ".join(
                str(answers[each]) for each in (Answer.MET, Answer.UNSURE, Answer.MISSED)
            )
            lines.append(
                f"| {share:.2f} of the true ratio | {where} | {told} | {answers[wrong]} | "
                f"{disturbed:.0%} | {runs / times:.0f} |"
            )
            click.echo(lines[-1])
    write_bytes(results / "gate.md", "\n".join([*lines, ""]).encode())


if __name__ == "__main__":
    main()
