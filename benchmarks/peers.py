"""decig side by side with what else there is: other ways to slim a generator, and fewer bits.

python benchmarks/peers.py --out runs/peers             (8 hours and more, needs '.[train,peers]')

For each teacher and target, from the same data, in the same minutes, on the same machine: decig,
its results in eight bits, its methods supernet and hypernet, a uniform width with distillation,
Torch-Pruning and onnxsim's structured pruning with fine-tuning, and the teacher in eight bits by
ONNX Runtime and by NNCF. All are timed by ONNX Runtime and by OpenVINO, which gets an environment
of its own under --out. Runs that are finished are not repeated, runs that were stopped go on, and
nothing is timed while anything trains.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from command_line import Given, contest_options, pixel_options, teacher_of
from competitors import CUT, CUT_TUNED, GENEROSITY, NNCF, ORT_INT8, PEERS
from contest import DECIG, OWN
from goals import Teacher
from jobs import BENCHMARKS, SHARED
from openvino_environment import openvino_python
from options import one_line_errors
from peers_page import section
from pictures import write_halves
from publishing import command, heading, write_page
from readiness import raise_all, require_packages
from rivals import CALIBRATION, DECIG_INT8, UNTARGETED
from runtimes import OnnxRuntime, OpenVino, Runtime
from side_by_side import Comparison

from decig.cli.values import EXISTING, EXISTING_FOLDER
from decig.errors import DecigError
from decig.extras import require
from decig.source.flags import PixelFlags

METHODS = (*PEERS, CUT, CUT_TUNED, ORT_INT8, NNCF, DECIG, DECIG_INT8, *OWN[1:])
MODELS = (
    SHARED / "suite" / "udnie.onnx",
    SHARED / "suite" / "wave.onnx",
    BENCHMARKS.parent / "models" / "facades-resunet",
)


def publish(comparisons: Sequence[Comparison], python: Path | None, given: Given) -> None:
    """Judge what is finished; write peers.md, peers.json, and a plot for each teacher.

    Args:
        comparisons: one for each teacher.
        python: interpreter of the environment that has OpenVINO; None without.
        given: by the command line.
    """
    given.results.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        runtimes: list[Runtime] = [OnnxRuntime()]
        remarks = []
        if python is not None:
            openvino = stack.enter_context(OpenVino(python))
            runtimes.append(openvino)
            remarks.append(f"OpenVINO {openvino.version}, in float32 where nothing is quantised.")
        found = [each.judged(runtimes, given.timing_seconds) for each in comparisons]
    if not any(each.rows for each in found):
        raise DecigError(f"{given.out}: no finished run to judge")
    targets = ",".join(f"{times:g}" for times in given.targets)
    page = heading(
        f"decig side by side with other tools, {given.effort} each",
        command("peers", given.effort, f"--targets {targets}"),
        *remarks,
        f"What is as fast may take {GENEROSITY} times as long as decig's result in ONNX Runtime, "
        "and trains as long as decig's whole compression took. The teacher's quantisers get "
        f"{CALIBRATION} training images.",
    )
    for each in found:
        page += section(each, given.results, f"peers_{each.name}")
    write_page(given.results, "peers", page, {each.name: each.to_dict() for each in found})


@click.command()
@click.option(
    "--model", "models", type=EXISTING, multiple=True, default=MODELS, help="ONNX, or a recipe."
)
@click.option(
    "--photos",
    type=EXISTING_FOLDER,
    default=SHARED / "data" / "photos",
    help="train, val: photos for models that take them.",
)
@click.option(
    "--pairs",
    type=EXISTING_FOLDER,
    default=SHARED / "data" / "facades",
    help="train, val: photos beside their label maps, for models that take label maps.",
)
@pixel_options
@click.option("--only", type=click.Choice(METHODS), multiple=True, help="Just these rows.")
@click.option("--openvino/--no-openvino", default=True, help="Whether OpenVINO takes part.")
@contest_options("4,8,16", minutes=12.0, timing_seconds=180.0)
def main(
    models: tuple[Path, ...],
    photos: Path,
    pairs: Path,
    said: PixelFlags,
    only: tuple[str, ...],
    openvino: bool,
    given: Given,
) -> None:
    """Compare decig with other tools and publish the table, whatever it says."""
    given.require_one_table(models)
    wanted = [method for method in METHODS if method in (only or METHODS)]
    with one_line_errors():
        require_tools(wanted, openvino=openvino)
        teachers = [teacher_of(model, said, photos / "train") for model in models]
        names = [teacher.name for teacher in teachers]
        if len(set(names)) < len(names):
            raise click.UsageError(f"Two of the models have the same name: {', '.join(names)}.")
        comparisons = [
            Comparison.of(*_fed(teacher, photos, pairs, given.out), wanted, given)
            for teacher in teachers
        ]
        python, reason = None, "left out by --no-openvino"
        if openvino:
            python, reason = openvino_python(given.out, make=not given.judge_only)
        if python is None:
            print(f"OpenVINO: {reason}")
        comparisons = [each.with_openvino(python, reason) for each in comparisons]
        failures = []
        for each in comparisons if not given.judge_only else ():
            failures += each.train()
        publish(comparisons, python, given)
        raise_all(failures)


def require_tools(wanted: Sequence[str], *, openvino: bool) -> None:
    """Check that the packages of all rows are installed, and that rows have what they start from.

    Raises:
        DecigError: a package is missing, or rows are asked for without decig's.
    """
    led = [method for method in wanted if method not in (*OWN, *UNTARGETED)]
    if led and DECIG not in wanted:
        raise DecigError(f"{', '.join(led)} need decig's results: run decig too")
    if wanted == [NNCF] and not openvino:
        raise DecigError(f"{NNCF} needs OpenVINO, and --no-openvino leaves it out")
    require_packages(wanted)
    require("the plot", "peers", ("matplotlib",))
    if CUT in wanted or CUT_TUNED in wanted:
        require(f"the row {CUT}", "peers", ("onnxsim",))


def _fed(teacher: Teacher, photos: Path, pairs: Path, out: Path) -> tuple[Teacher, Path]:
    """A teacher with the images that it takes, to train on, and a folder of held-out ones."""
    labels = teacher.source().require_pixels().labels
    if labels is None:
        return teacher, (photos / "val").resolve()
    train, held_out = (
        write_halves(pairs.resolve() / split, labels, out / "data" / split)[0]
        for split in ("train", "val")
    )
    return replace(teacher, images=train), held_out


if __name__ == "__main__":
    main()
