"""Train one peer with decig's own loop, pool, loss and settings, and write it as ONNX.

python -m peers.training uniform|torch-pruning --trunk 33 --seconds 720 ... --output-dir DIR
"""

import logging
import warnings
from pathlib import Path

import click
import torch
from torch import nn

from decig.cli.values import FILE, FOLDER, value_range
from decig.data.feeds import Inputs
from decig.data.images import ImageFolder
from decig.data.pixels import PixelFormat
from decig.files import atomic_path, write_json
from decig.graph.model import input_info, load_model
from decig.train.loop import Budget, Loop
from decig.train.module import build_module
from decig.train.pool import Crops, Example, TeacherPool
from decig.train.precision import make_accelerator
from decig.train.settings import Settings
from peers.students import PEERS, UNIFORM, pruned, uniform
from peers.style_net import load_teacher

_LINE_EVERY_S = 15.0


@click.command()
@click.argument("kind", type=click.Choice(PEERS))
@click.option("--model", type=FILE, required=True)
@click.option("--data", type=FOLDER, required=True)
@click.option("--trunk", type=click.IntRange(4, 128), required=True)
@click.option("--seconds", type=float, required=True)
@click.option("--input-range", type=value_range, default="0,255")
@click.option("--output-range", type=value_range, default="0,255")
@click.option("--channel-order", default="rgb")
@click.option("--config", type=FILE)
@click.option("--output-dir", type=FOLDER, required=True)
def main(
    kind: str,
    model: Path,
    data: Path,
    trunk: int,
    seconds: float,
    input_range: tuple[float, float],
    output_range: tuple[float, float],
    channel_order: str,
    config: Path | None,
    output_dir: Path,
) -> None:
    """Train a peer for a time and leave student.onnx and report.json."""
    torch.set_num_threads(1)
    settings = Settings.load(config)
    torch.manual_seed(settings.seed)
    student = uniform(trunk) if kind == UNIFORM else pruned(load_teacher(model), trunk)
    loop = distillation(
        student,
        model,
        data,
        PixelFormat(input_range, output_range, channel_order=channel_order),
        settings,
        Budget(seconds=seconds),
    )
    loop.report = _Lines()
    trained = loop.run()
    output_dir.mkdir(parents=True, exist_ok=True)
    shape = input_info(load_model(model).proto)[0].shape
    write_onnx(trained, shape, output_dir / "student.onnx")
    report = {"steps": loop.step, "training_seconds": round(loop.elapsed_s, 1), "trunk": trunk}
    write_json(output_dir / "report.json", report)


def distillation(
    student: nn.Module,
    model: Path,
    data: Path,
    pixels: PixelFormat,
    settings: Settings,
    budget: Budget,
) -> Loop:
    """Set up the loop in which decig trains its own students, for any module."""
    proto = load_model(model).proto
    size = input_info(proto)[0].shape[2:]
    height, width = (min(settings.crop or max(size), side) for side in size)
    teacher = build_module(proto, input_size=(height, width)).eval()
    accelerator = make_accelerator(settings.precision)
    pool = TeacherPool(
        [Example(path.stem, (picture,)) for path, picture in ImageFolder(data)],
        accelerator.prepare_model(teacher, evaluation_mode=True),
        pixels,
        Inputs.of(proto, pixels, {}),
        Crops(height, width, settings.batch, settings.zoom),
        refresh=settings.refresh,
        capacity=settings.pool,
        seed=settings.seed,
        device=accelerator.device,
    )
    return Loop(student, pool, pixels, settings, budget, accelerator)


def write_onnx(module: nn.Module, shape: list[int], path: Path) -> None:
    """Export as an engineer would: torch.onnx.export with its own optimiser."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), atomic_path(path) as temporary:
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(shape),),
            dynamo=True,
            opset_version=20,
            verbose=False,
        )
        assert program is not None
        program.save(str(temporary), external_data=False)


class _Lines:
    """Prints a line of progress now and then."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, loop: Loop, share: float, loss: float) -> None:
        if loop.elapsed_s >= self._next:
            self._next = loop.elapsed_s + _LINE_EVERY_S
            print(f"{share:6.1%}  step {loop.step}  loss {loss:.4f}", flush=True)


if __name__ == "__main__":
    main()
