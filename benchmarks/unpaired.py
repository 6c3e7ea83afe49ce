"""CycleGAN between photos and styled pictures of other photos: trained, compressed, judged.

python benchmarks/unpaired.py --out runs/unpaired       (4 hours and more, needs '.[train,quality]')

Every other photo stays as it is; the rest are painted by a style transfer net. Nothing is aligned.
A narrow ResNet learns by `decig train` to paint photos in that style. It is then compressed with
`--unpaired`: an adversary is shown styled pictures of photos that the net never paints. What both
paint of held-out photos is compared with held-out styled pictures. Parts that are finished are not
repeated, parts that were stopped go on, and nothing is timed while anything trains.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import click
from command_line import Given, contest_options
from contest import DECIG, OWN, Contest
from goals import Teacher
from jobs import BENCHMARKS, SHARED, Command, Job, finish
from jobs import DECIG as PROGRAM
from judge import Judge, Real, Row, kid
from options import numbers, one_line_errors
from pictures import write_domains
from publishing import command, finished, heading, write_page
from readiness import raise_all, require_packages, require_ready

from decig.cli.values import EXISTING_FILE, EXISTING_FOLDER
from decig.data.pixels import PixelFormat
from decig.files import write_bytes
from decig.quality.protocol import Protocol
from decig.source.flags import PixelFlags
from decig.source.recipe import load_recipe

CODE = BENCHMARKS.parent / "models" / "cyclegan-resnet9" / "generator.py"
_MARGIN = 0.10
"""How much farther from real pictures the compressed net's may be, as a share of the original's."""
_LOAD = 286 / 256
"""Side of the loaded pictures to that of the crops, as CycleGAN has it."""


@dataclass(frozen=True)
class Original:
    """The net that `decig train` makes.

    Attributes:
        width: channels of its first layer.
        blocks: residual blocks.
        side: height and width of pictures, in pixels.
        discriminator: channels of the discriminators' first layer.
        steps: of training.
        precision: "auto", "bf16" or "fp32".
        seed: of everything random.
    """

    width: int
    blocks: int
    side: int
    discriminator: int
    steps: int
    precision: str
    seed: int

    def recipe(self) -> str:
        """The text of its recipe.toml, beside which generator.py lies."""
        return f"""# Written by benchmarks/unpaired.py: a narrow CycleGAN.
[model]
input_shape = [1, 3, {self.side}, {self.side}]

[pixels]
input_range = [-1, 1]
output_range = [-1, 1]

[source]
python = "generator.py:ResNet"
arguments = {{ width = {self.width}, blocks = {self.blocks} }}

[train]
task = "unpaired"
seed = {self.seed}
discriminator_width = {self.discriminator}
precision = "{self.precision}"

[[train.stages]]
crop = {self.side}
load = {round(_LOAD * self.side)}
batch = 1
steps = {self.steps}
"""

    def training(self, data: Path, out: Path) -> Job:
        """The run of decig train; the recipe is written first."""
        folder = out / "recipe"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(CODE, folder)
        write_bytes(folder / "recipe.toml", self.recipe().encode())
        load_recipe(folder)
        run = out / "original" / "run"
        command: Command = [*PROGRAM, "train", folder, "--data", data, "--output-dir", run]
        resume: Command = [*PROGRAM, "train", "--resume", "--output-dir", run]
        asked = {"recipe": self.recipe(), "data": str(data)}
        return Job("original", out / "original", command, asked, resume, run / "state.pt")


def publish(
    contest: Contest, judge: Judge, train_steps: int, results: Path, seconds: float
) -> None:
    """Judge what is finished; write unpaired.md, unpaired.json and a sheet."""
    entries = [entry for found in finished(contest).values() for entry in found]
    rows = judge.rows(entries, seconds)
    real = 0 if judge.real is None else len(judge.real)
    page = [
        *heading(
            "CycleGAN between photos and styled photos, compressed without pairs, "
            f"{contest.effort}",
            command("unpaired", contest.effort, f"--train-steps {train_steps}"),
        ),
        f"KID to real pictures: {Protocol(len(judge.photos), real, 0)}.",
        "",
        "| target | method | ms (MAD) | times faster | KID to real x1000 (error) "
        "| SSIM to original | minutes | steps |",
        "|" + " --- |" * 8,
        *(_line(row) for row in rows),
        "",
        *verdicts(rows),
    ]
    write_page(results, "unpaired", page, {"rows": [row.to_dict() for row in rows]})
    judge.write_sheet(entries, results / "unpaired.jpg")


def _line(row: Row) -> str:
    ssim, minutes = row.similarity.get("ssim"), row.notes.get("minutes")
    cells = [
        row.target or "-",
        row.method,
        f"{row.latency.median_ms:.2f} ({row.latency.mad / 1000:.2f})",
        f"{row.speedup:.2f}",
        kid(row.real),
        "-" if ssim is None else f"{ssim:.3f}",
        "-" if minutes is None else f"{minutes:.1f}",
        str(row.notes.get("steps", "-")),
    ]
    return f"| {' | '.join(cells)} |"


def verdicts(rows: list[Row]) -> list[str]:
    """Say whether compressed pictures are as near to real ones as the original's, within 10 %."""
    original, *others = rows
    if original.real["kid"] <= 0:
        return ["- The original's KID to real pictures is not above 0: there is no share of it."]
    lines = []
    for row in others:
        more = row.real["kid"] / original.real["kid"] - 1
        word = "within" if more <= _MARGIN else "NOT within"
        lines.append(
            f"- {row.target}, {row.method}: KID to real pictures {more:+.1%} of the original's: "
            f"{word} {_MARGIN:.0%}."
        )
    return lines


@click.command()
@click.option(
    "--photos", type=EXISTING_FOLDER, default=SHARED / "data" / "photos", help="train, val"
)
@click.option("--style", type=EXISTING_FILE, default=SHARED / "suite" / "udnie.onnx")
@click.option("--style-range", default="0,255", callback=numbers, help="Of its pixels.")
@click.option("--width", type=click.IntRange(4), default=24, help="Channels of the first layer.")
@click.option("--blocks", type=click.IntRange(1), default=6)
@click.option("--side", type=click.IntRange(32), default=128, help="Pixels.")
@click.option("--discriminator", type=click.IntRange(1), default=32, help="Channels, first layer.")
@click.option("--train-steps", type=click.IntRange(1), default=12000, help="Of the original.")
@click.option("--precision", type=click.Choice(["auto", "bf16", "fp32"]), default="auto")
@click.option("--seed", type=click.IntRange(0), default=1, help="Of the original.")
@click.option("--method", "methods", type=click.Choice(OWN), multiple=True, default=(DECIG,))
@contest_options("8", minutes=30.0, timing_seconds=60.0)
def main(
    photos: Path,
    style: Path,
    style_range: list[float],
    width: int,
    blocks: int,
    side: int,
    discriminator: int,
    train_steps: int,
    precision: str,
    seed: int,
    methods: tuple[str, ...],
    given: Given,
) -> None:
    """Train a CycleGAN, compress it without pairs, and compare both with real pictures."""
    if len(style_range) != 2:
        raise click.UsageError("--style-range takes two numbers, such as 0,255.")
    (low, high), out = style_range, given.out
    original = Original(width, blocks, side, discriminator, train_steps, precision, seed)
    with one_line_errors():
        require_packages(methods)
        pixels, data = PixelFormat((low, high), (low, high)), out / "data"
        train, test = (
            write_domains(
                photos.resolve() / split,
                style.resolve(),
                pixels,
                2 * side,
                # The names by which `decig train` finds both sets.
                (data / f"{name}A", data / f"{name}B"),
            )
            for split, name in (("train", "train"), ("val", "test"))
        )
        job = original.training(data, out)
        if not given.judge_only:
            finish("original", [job], 1)
        contest = given.contest(
            Teacher(out / "original" / "run" / "generator.onnx", PixelFlags(), train[0]),
            methods,
            options=["--unpaired", train[1]],
        )
        require_ready(contest)
        failures = [] if given.judge_only else contest.train()
        source = contest.teacher.source()
        real = Real(test[1], paired=False)
        judge = Judge(source.model.path, test[0], source.require_pixels(), real)
        publish(contest, judge, train_steps, given.results, given.timing_seconds)
        raise_all(failures)


if __name__ == "__main__":
    main()
