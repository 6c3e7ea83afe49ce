"""Train one peer with decig's own engine, task, teacher pool and settings; write it as ONNX.

python -m competitors.training uniform|torch-pruning --trunk 33 --seconds 720 ... --output-dir DIR

A run that was stopped goes on where the same is called once more.
"""

import logging
import warnings
from pathlib import Path

import click
import torch
from torch import nn

from competitors import PEERS, UNIFORM
from competitors.family import family_of
from decig.cli.values import EXISTING, EXISTING_FILE, EXISTING_FOLDER, FOLDER, value_range
from decig.data.feeds import Inputs
from decig.data.images import ImageFolder
from decig.data.pixels import PixelFormat
from decig.files import atomic_path, write_json
from decig.graph.model import input_info, load_model
from decig.source.resolve import resolve
from decig.source.source import PixelFlags
from decig.training.config import Config
from decig.training.engine import Engine, News
from decig.training.module import build_module
from decig.training.pool import Crops, Example, TeacherPool
from decig.training.precision import Precision
from decig.training.processes import Processes
from decig.training.schedule import Budget
from decig.training.tasks.distil import STUDENT, Distil, Learning

_LINE_EVERY_S = 15.0
STATE_FILE = "state.pt"
"""File of the folder from which a stopped training goes on."""


@click.command()
@click.argument("kind", type=click.Choice(PEERS))
@click.option("--model", type=EXISTING, required=True)
@click.option("--data", type=EXISTING_FOLDER, required=True)
@click.option("--recipe", type=EXISTING, help="Its class makes the net instead of StyleNet.")
@click.option("--trunk", type=click.IntRange(1), required=True)
@click.option("--seconds", type=float)
@click.option("--steps", type=click.IntRange(1))
@click.option("--input-range", type=value_range)
@click.option("--output-range", type=value_range)
@click.option("--channel-order")
@click.option("--config", type=EXISTING_FILE)
@click.option("--output-dir", type=FOLDER, required=True)
def main(
    kind: str,
    model: Path,
    data: Path,
    recipe: Path | None,
    trunk: int,
    seconds: float | None,
    steps: int | None,
    input_range: tuple[float, float] | None,
    output_range: tuple[float, float] | None,
    channel_order: str | None,
    config: Path | None,
    output_dir: Path,
) -> None:
    """Train a peer for a time, or for some steps, and leave student.onnx and report.json."""
    torch.set_num_threads(1)
    settings = Config.read(config)
    flags = PixelFlags(input_range, output_range, channel_order=channel_order)
    source = resolve(str(model), flags)
    torch.manual_seed(settings.train.seed)
    engine = distillation(
        _student(kind, trunk, recipe, source.model.path),
        source.model.path,
        data,
        source.require_pixels(),
        settings,
        Budget(seconds, steps),
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    engine.state_file, engine.report = output_dir / STATE_FILE, _Lines()
    engine.resume()
    engine.run()
    shape = input_info(source.model.proto)[0].shape
    write_onnx(engine.means[STUDENT], shape, output_dir / "student.onnx")
    report = {"steps": engine.step, "training_seconds": round(engine.elapsed_s, 1), "trunk": trunk}
    write_json(output_dir / "report.json", report)


def _student(kind: str, trunk: int, recipe: Path | None, teacher: Path) -> nn.Module:
    if kind == UNIFORM:
        return family_of(recipe).make(trunk)
    # Torch-Pruning is not needed for anything else.
    from competitors.students import pruned
    from competitors.style_net import load_teacher

    return pruned(load_teacher(teacher), trunk)


def distillation(
    student: nn.Module,
    model: Path,
    data: Path,
    pixels: PixelFormat,
    config: Config,
    budget: Budget,
) -> Engine:
    """Set up the engine and the task by which decig trains its own students, for any module."""
    settings, train = config.distil, config.train
    proto = load_model(model).proto
    size = input_info(proto)[0].shape[2:]
    height, width = (min(settings.crop or max(size), side) for side in size)
    teacher = build_module(proto, input_size=(height, width)).eval()
    processes = Processes()
    precision = Precision.named(train.precision, processes.device.type)
    pool = TeacherPool(
        [Example(path.stem, (picture,)) for path, picture in ImageFolder(data, pixels.labels)],
        teacher.to(processes.device),
        pixels,
        Inputs.of(proto, pixels, {}),
        Crops(height, width, settings.batch, settings.zoom),
        refresh=settings.refresh,
        capacity=settings.pool,
        seed=train.seed,
        device=processes.device,
        precision=precision,
    )
    learning = Learning(train.learning_rate, train.warmup, train.ema)
    task = Distil(student, pool, pixels, settings, learning, precision)
    return Engine(task, budget, processes, seed=train.seed)


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

    def __call__(self, news: News) -> None:
        if news.elapsed_s >= self._next:
            self._next = news.elapsed_s + _LINE_EVERY_S
            loss = news.losses[STUDENT]
            print(f"{news.progress:6.1%}  step {news.step}  loss {loss:.4f}", flush=True)


if __name__ == "__main__":
    main()
