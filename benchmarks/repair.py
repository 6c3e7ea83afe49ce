"""What the closed-form repair gives back after slicing, without any training.

python benchmarks/repair.py
"""

import time
from pathlib import Path

import click

from decig.cli.values import FILE, FOLDER, value_range
from decig.data.feeds import Feeds
from decig.data.inputs import Pictures
from decig.data.pixels import PixelFormat
from decig.deploy.cutter import REPAIR_IMAGES
from decig.device.run.fingerprint import cpu_model
from decig.device.run.threads import worker_threads
from decig.files import write_bytes
from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.graph.plan import Plan, uniform_widths
from decig.graph.slicing import slice_graph
from decig.quality.metrics import colour, psnr, ssim
from decig.repair.activations import run_graph
from decig.repair.repair import repair
from decig.repair.scores import Importance

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"


@click.command()
@click.option("--model", type=FILE, default=SHARED / "suite" / "udnie.onnx")
@click.option("--data", type=FOLDER, default=SHARED / "data" / "photos", help="train/ and val/.")
@click.option("--keep", multiple=True, type=float, default=(0.9, 0.75, 0.5))
@click.option("--input-range", type=value_range, default="0,255")
@click.option("--output-range", type=value_range, default="0,255")
@click.option("--results", type=FOLDER, default=HERE / "results")
def main(
    model: Path,
    data: Path,
    keep: tuple[float, ...],
    input_range: tuple[float, float],
    output_range: tuple[float, float],
    results: Path,
) -> None:
    """Print and write the table of results/repair.md."""
    loaded = load_model(model)
    pixels = PixelFormat(input_range, output_range)

    def read(split: str, count: int | None = None) -> list[Feeds]:
        return [picture.feeds for picture in Pictures(data / split, loaded.proto, pixels)][:count]

    training, photos = read("train", REPAIR_IMAGES), read("val")
    wanted = pixels.to_unit(run_graph(loaded.proto, photos))
    started = time.perf_counter()
    channels = analyse(loaded.proto)
    scores = Importance(loaded.proto, channels, training)
    scoring_s = time.perf_counter() - started
    lines = [
        f"`python benchmarks/repair.py`: {model.name}, {len(photos)} photos, "
        f"{worker_threads()} threads, {cpu_model()}; the teacher's colour is {colour(wanted):.4f}.",
        "",
        "| keep | repaired | SSIM | PSNR dB | colour | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for share in keep:
        widths = uniform_widths(channels, share)
        kept = {name: sorted(map(int, scores.order[name][:n])) for name, n in widths.items()}
        plan = Plan(loaded.sha256, kept)
        for repaired in (False, True):
            started = time.perf_counter()
            if repaired:
                proto = repair(loaded.proto, channels, plan, training)
            else:
                proto = slice_graph(loaded.proto, channels, plan)
            seconds = scoring_s + time.perf_counter() - started
            found = pixels.to_unit(run_graph(proto, photos))
            figures = f"{ssim(found, wanted):.3f} | {psnr(found, wanted):.1f} | {colour(found):.4f}"
            lines.append(f"| {share} | {'yes' if repaired else 'no'} | {figures} | {seconds:.0f} |")
            click.echo(lines[-1])
    results.mkdir(parents=True, exist_ok=True)
    write_bytes(results / "repair.md", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
