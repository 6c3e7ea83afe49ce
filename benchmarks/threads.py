"""What threads cost where the cores are free, and where another program holds one of them.

    python benchmarks/threads.py [--threads 2] [--seconds 5]        (2 minutes, needs '.[train]')

A training step of a small net (PyTorch, OpenMP) and a linear system of order 300 (numpy, OpenBLAS),
each in processes of their own: with one thread, with threads as the libraries set them up, with
threads that sleep at once, and as `decig.device.run.threads` sets them up. Every setting is
measured alone and beside a program that never rests; the median of the repetitions counts.
"""

import os
import subprocess
import sys
from pathlib import Path

import click

from decig.cli.values import FOLDER
from decig.device.run.cores import available_cores
from decig.device.run.fingerprint import cpu_model
from decig.device.run.threads import set_up_threads
from decig.files import write_bytes

_TIMER = """
import statistics, time
def median_ms(work, seconds):
    for _ in range(3):
        work()
    end, found = time.perf_counter() + seconds, []
    while not found or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - start))
    return statistics.median(found)
"""

WORK = {
    "training step": """
import torch
from torch import nn
layers = [(nn.Conv2d(16, 16, 3, padding=1), nn.InstanceNorm2d(16), nn.ReLU()) for _ in range(6)]
net = nn.Sequential(*[part for layer in layers for part in layer])
images = torch.randn(2, 16, 64, 64)
work = lambda: net(images).square().mean().backward()
""",
    "linear system": """
import numpy as np
values = np.random.default_rng(0).random((300, 300))
matrix = values @ values.T + 300 * np.eye(300)
work = lambda: np.linalg.solve(matrix, values)
""",
}
"""Programs that define `work`, by what they do."""

_SET_BY_US = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS")


def settings(threads: int) -> dict[str, dict[str, str]]:
    """Environment variables of every setting, by its name."""
    several = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    ours = {"OMP_NUM_THREADS": str(threads)}
    set_up_threads(ours)
    return {
        "1 thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        f"{threads} threads as the libraries set them up": several,
        f"{threads} threads that sleep at once": several | {"OMP_WAIT_POLICY": "PASSIVE"},
        "decig's commands": ours,
    }


def measure_ms(work: str, environment: dict[str, str], seconds: float) -> float:
    """Median milliseconds of `work` in a process with these variables."""
    rest = {name: value for name, value in os.environ.items() if name not in _SET_BY_US}
    program = f"{_TIMER}{work}\nprint(median_ms(work, {seconds}))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=rest | environment, check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


@click.command()
@click.option("--threads", type=click.IntRange(min=1), default=available_cores, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0), default=5.0, show_default=True)
@click.option("--results", type=FOLDER, default=Path(__file__).resolve().parent / "results")
def main(threads: int, seconds: float, results: Path) -> None:
    """Print and write the table of results/threads.md."""
    columns = [f"{name}, {where}" for name in WORK for where in ("alone", "beside a busy program")]
    lines = [
        f"Milliseconds, {cpu_model()}, {available_cores()} cores. `python benchmarks/threads.py`",
        "",
        f"| setting | {' | '.join(columns)} |",
        "|---|" + "---:|" * len(columns),
    ]
    for name, environment in settings(threads).items():
        row = []
        for work in WORK.values():
            row.append(measure_ms(work, environment, seconds))
            with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
                try:
                    row.append(measure_ms(work, environment, seconds))
                finally:
                    busy.kill()
        lines.append(f"| {name} | {' | '.join(f'{ms:.1f}' for ms in row)} |")
        click.echo(lines[-1])
    write_bytes(results / "threads.md", "\n".join([*lines, ""]).encode())


if __name__ == "__main__":
    main()
