"""pix2pix and GauGAN on a GPU in ten minutes: trained, compressed by three methods, measured.

python benchmarks/on_gpu.py --out runs/on_gpu --results results_gpu      (10 minutes, a CUDA device)

Trains facades at 256x256 in bf16, beside each other: pix2pix's U-Net-256 and GauGAN. Then profiles
both from captured CUDA graphs, compresses them by decig, supernet and hypernet at 4 and 8 times
lower latency, a few at once, planned by the cost table alone, and measures all results in turns,
from captured CUDA graphs, while nothing trains. One folder gets the tables, curves and sheets.

It ends in time whatever the machine: how long each part may take is decided when it begins, by the
time that is left. A part that is killed is missing in the tables, which say so. Every part that has
ended is kept under --out, and what it shows is in the results at once; a second call goes on.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import curves
from contest import OWN, Target, require_packages
from gpu_plan import NAMES, Clock, Original, Plan, write_recipe
from jobs import SHARED
from judge import Judge, Real, Row
from methods import comparisons, summary
from options import numbers, one_line_errors

from decig import __version__
from decig.cli.values import EXISTING_FOLDER, FOLDER
from decig.data.layouts import Split
from decig.data.pairs import Pairs
from decig.device.run.device import Device
from decig.errors import BadInputError, DecigError
from decig.files import write_bytes, write_json
from decig.quality.protocol import Protocol
from decig.schema import read_json
from decig.source.recipe import load_recipe
from decig.source.resolve import resolve


def publish(plan: Plan, rows: dict[str, list[Row]], failures: Sequence[str]) -> str:
    """Write what is known so far: on_gpu.md, on_gpu.json and on_gpu.svg; returns the page."""
    device = plan.device.fingerprint()
    page = [
        "# pix2pix and GauGAN on a GPU",
        "",
        f"`python benchmarks/on_gpu.py`, decig {__version__}, {datetime.date.today().isoformat()}, "
        f"{device.accelerator or device.cpu}, ONNX Runtime {device.onnxruntime}.",
        "",
        "Plans are predictions from the cost table; all latencies in a table were measured in "
        "turns, from captured CUDA graphs where the device is a GPU.",
        "",
    ]
    drawn: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for original in plan.originals:
        page += [f"## {original.name}", "", *_about(original), ""]
        losses = curves.read(original.out / "original" / "curves.csv")
        drawn[f"{original.name}: losses"] = {n: c for n, c in losses.items() if "/" not in n}
        likeness = {}
        for target in plan.targets:
            for method in plan.methods:
                noted = curves.read(original.run(method, target) / "curves.csv")
                likeness[f"{method} {target.label}"] = noted.get("distil/ssim", [])
        drawn[f"{original.name}: SSIM to the original"] = likeness
        if found := rows.get(original.name):
            page += [summary(found), "", *comparisons(found), ""]
        else:
            done = [f"{e.name} ({e.notes['steps']} steps)" for e in plan.entries(original)]
            page += [f"Compressed so far: {', '.join(done) or 'nothing'}.", ""]
    if rows:
        page += [f"KID: {Protocol.of_pairs(plan.pictures)}.", ""]
    page += [f"- {failure}" for failure in failures]
    plan.results.mkdir(parents=True, exist_ok=True)
    figures = {name: [row.to_dict() for row in found] for name, found in rows.items()}
    write_json(plan.results / "on_gpu.json", {"rows": figures, "failures": list(failures)})
    curves.draw(drawn, plan.results / "on_gpu.svg")
    text = "\n".join([*page, ""])
    write_bytes(plan.results / "on_gpu.md", text.encode())
    return text


def _about(original: Original) -> list[str]:
    report = original.out / "original" / "report.json"
    if not report.exists():
        return ["Not trained."]
    found = read_json(report, dict[str, Any], "report of a training")
    return [f"Trained for {found['training_seconds']:.0f} s, {found['steps']} steps."]


def judge(plan: Plan, seconds: float, failures: list[str]) -> dict[str, list[Row]]:
    """Measure and judge all that is there, and draw sheets; adds what goes wrong to failures."""
    rows: dict[str, list[Row]] = {}
    for original in plan.originals:
        entries = plan.entries(original)
        if not original.model.exists():
            continue
        try:
            inputs, photos = plan.halves(original, "test", plan.pictures)
            pixels = resolve(str(original.model)).require_pixels()
            real = Real(photos, paired=True)
            judge = Judge(original.model, inputs, pixels, real, plan.device)
            rows[original.name] = judge.rows(entries, seconds)
            for target in plan.targets:
                shown = [entry for entry in entries if entry.target == target.label]
                file = plan.results / f"on_gpu_{original.name}_{target.label}.jpg"
                judge.write_sheet(shown, file)
        except DecigError as error:
            failures.append(f"judging {original.name}: {error}")
        publish(plan, rows, failures)
    return rows


@click.command()
@click.option("--data", type=EXISTING_FOLDER, default=SHARED / "data" / "facades", help="Pairs.")
@click.option("--model", "names", type=click.Choice(NAMES), multiple=True, default=NAMES)
@click.option("--targets", callback=numbers, default="4,8", help="Times faster.")
@click.option("--method", "methods", type=click.Choice(OWN), multiple=True, default=OWN)
@click.option("--minutes", type=float, default=9.5, help="Until the end, whatever the machine.")
@click.option("--jobs", type=click.IntRange(1), default=4, help="Compressions at once.")
@click.option("--pictures", type=click.IntRange(3), default=50, help="That are judged.")
@click.option("--timing-seconds", type=float, default=10.0, help="For the timing of each original.")
@click.option("--miniature", is_flag=True, help="Tiny nets, a few steps each, on the processor.")
@click.option("--out", type=FOLDER, required=True, help="Runs; kept, so that they can go on.")
@click.option("--results", type=FOLDER, required=True, help="Tables, curves and sheets.")
def main(
    data: Path,
    names: tuple[str, ...],
    targets: list[float],
    methods: tuple[str, ...],
    minutes: float,
    jobs: int,
    pictures: int,
    timing_seconds: float,
    miniature: bool,
    out: Path,
    results: Path,
) -> None:
    """Train, compress and measure on a GPU within a few minutes."""
    clock, out = Clock(minutes), out.resolve()
    with one_line_errors():
        require_packages(methods)
        require_device(miniature)
        recipes = {name: write_recipe(name, out / "recipes" / name, miniature) for name in names}
        originals = [Original(name, recipe, out / name) for name, recipe in recipes.items()]
        wanted = [Target(times, "x") for times in targets]
        plan = Plan(
            originals,
            data.resolve(),
            wanted,
            methods,
            miniature,
            jobs,
            pictures,
            clock,
            out,
            results.resolve(),
        )
        labels = load_recipe(originals[0].recipe).pixels.labels
        for split in ("train", "test"):
            Pairs(Split(plan.data / split, plan.data / split), "BtoA", labels)
        failures = plan.train()
        publish(plan, {}, failures)
        failures += plan.profile()
        failures += plan.compress(lambda so_far: publish(plan, {}, [*failures, *so_far]))
        rows = judge(plan, timing_seconds, failures)
        print(publish(plan, rows, failures))
        if not any(rows.values()):
            raise DecigError(f"{plan.out}: nothing was trained; see the logs there")


def require_device(miniature: bool) -> None:
    """Check that the GPU is there for PyTorch and for ONNX Runtime.

    Raises:
        BadInputError: it is not.
    """
    if miniature:
        return
    Device.of("cuda")
    import torch

    if not torch.cuda.is_available():
        raise BadInputError("PyTorch finds no CUDA device: install its build for CUDA")


if __name__ == "__main__":
    main()
