"""Train one peer with decig's own engine, task, teacher pool and settings; write it as ONNX.

python -m competitors.training uniform|torch-pruning --trunk 33 --seconds 720 ... --output-dir DIR
python -m competitors.training onnxsim-tuned --graph CUT.onnx --seconds 720 ... --output-dir DIR

A run that was stopped goes on where the same is called once more.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import onnx
import torch
from torch import nn
from torch.fx import GraphModule

from competitors import CUT_TUNED, PEERS, UNIFORM
from competitors.family import family_of
from competitors.teachers import load_teacher
from decig.cli.values import EXISTING, EXISTING_FILE, EXISTING_FOLDER, FOLDER, value_range
from decig.data.feeds import Inputs
from decig.data.images import ImageFolder
from decig.data.pixels import PixelFormat
from decig.files import atomic_path, write_json
from decig.graph.model import input_info, load_model, save_model
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.source.source import Source
from decig.training.config import Config
from decig.training.data.pool import Crops, Example, TeacherPool
from decig.training.loop.engine import Engine, News
from decig.training.loop.precision import Precision
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.tasks.distil import STUDENT, Distil, Learning
from decig.training.trainable.module import build_module, write_back

_LINE_EVERY_S = 15.0
STATE_FILE = "state.pt"
"""File of the folder from which a stopped training goes on."""


@click.command()
@click.argument("kind", type=click.Choice((*PEERS, CUT_TUNED)))
@click.option("--model", type=EXISTING, required=True)
@click.option("--data", type=EXISTING_FOLDER, required=True)
@click.option("--recipe", type=EXISTING, help="Its class makes the net instead of StyleNet.")
@click.option("--trunk", type=click.IntRange(1), help="Channels of its widest layers.")
@click.option("--graph", type=EXISTING_FILE, help="ONNX file that is trained on instead.")
@click.option("--seconds", type=float)
@click.option("--steps", type=click.IntRange(1))
@click.option("--input-range", type=value_range)
@click.option("--output-range", type=value_range)
@click.option("--layout")
@click.option("--channel-order")
@click.option("--config", type=EXISTING_FILE)
@click.option("--output-dir", type=FOLDER, required=True)
def main(
    kind: str,
    model: Path,
    data: Path,
    recipe: Path | None,
    trunk: int | None,
    graph: Path | None,
    seconds: float | None,
    steps: int | None,
    input_range: tuple[float, float] | None,
    output_range: tuple[float, float] | None,
    layout: str | None,
    channel_order: str | None,
    config: Path | None,
    output_dir: Path,
) -> None:
    """Train a peer for a time, or for some steps, and leave student.onnx and report.json."""
    torch.set_num_threads(1)
    settings = Config.read(config)
    if (graph if kind == CUT_TUNED else trunk) is None:
        raise click.UsageError(f"{kind} needs {'--graph' if kind == CUT_TUNED else '--trunk'}")
    flags = PixelFlags(input_range, output_range, layout, channel_order)
    source = resolve(str(model), flags)
    torch.manual_seed(settings.train.seed)
    if graph is not None:
        student = _of_graph(graph, crop_of(source.model.proto, source.require_pixels(), settings))
    else:
        student = _of_code(kind, trunk or 1, recipe, source)
    engine = distillation(
        student.net,
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
    student.write(engine.means[STUDENT], output_dir / "student.onnx")
    report = {"steps": engine.step, "training_seconds": round(engine.elapsed_s, 1), "trunk": trunk}
    write_json(output_dir / "report.json", report)


@dataclass(frozen=True)
class _Student:
    """What is trained.

    Attributes:
        net: the module.
        write: writes a module of its kind as an ONNX file.
    """

    net: nn.Module
    write: Callable[[Any, Path], None]


def _of_code(kind: str, trunk: int, recipe: Path | None, teacher: Source) -> _Student:
    """A PyTorch net with `trunk` channels in its widest layers."""
    family, shape = family_of(recipe), input_info(teacher.model.proto)[0].shape

    def write(module: nn.Module, path: Path) -> None:
        write_onnx(module, shape, path)

    if kind == UNIFORM:
        return _Student(family.make(trunk), write)
    # Torch-Pruning is not needed for anything else.
    from competitors.students import pruned

    whole = load_teacher(teacher.model.path, family, teacher.require_pixels())
    return _Student(pruned(whole, trunk / family.widest), write)


def _of_graph(graph: Path, crop: tuple[int, int]) -> _Student:
    """An ONNX file as decig trains it, on crops of this height and width."""
    proto = load_model(graph).proto

    def write(module: GraphModule, path: Path) -> None:
        save_model(write_back(module, proto), path)

    return _Student(build_module(proto, input_size=crop, fixed_statistics=True), write)


def crop_of(teacher: onnx.ModelProto, pixels: PixelFormat, config: Config) -> tuple[int, int]:
    """Height and width of what is trained on."""
    height, width = pixels.size_of(input_info(teacher)[0].shape)
    most = config.distil.crop or max(height, width)
    return min(most, height), min(most, width)


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
    height, width = crop_of(proto, pixels, config)
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
