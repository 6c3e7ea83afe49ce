"""What is seen of an original while it is trained: log lines, sheets of samples, exported files."""

import copy
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import onnx
from torch import nn

from decig.data.sheet import write_sheet
from decig.graph.model import save_model
from decig.source.recipe import Recipe
from decig.source.stamp import pixels_entry, stamp
from decig.training.loop.engine import Engine, News
from decig.training.loop.events import logged
from decig.training.nets.recognise import DISCRIMINATORS
from decig.training.pytorch.discriminator import save_discriminator
from decig.training.pytorch.exporter import export_onnx
from decig.training.pytorch.statistics import choose_statistics, running_norms
from decig.training.runs.run import EVENTS_FOLDER
from decig.training.tasks import Original
from decig.training.trainable.slim import Slim

_log = logging.getLogger(__name__)

T = TypeVar("T")

LOG_EVERY_S = 30.0
"""Seconds between two log lines; the first one comes after the first step."""
_SAMPLES = "samples"
"""Folder of a run that holds sheets of samples."""


@dataclass(frozen=True)
class Training:
    """An original that is trained in a run folder.

    Attributes:
        recipe: that describes it.
        task: by which it is trained.
        folder: of the run.
        sample_every_s: seconds between two sheets of samples.
        tensorboard: whether losses and sheets are logged for TensorBoard.
    """

    recipe: Recipe
    task: Original
    folder: Path
    sample_every_s: float
    tensorboard: bool = False

    def export(self, nets: Mapping[str, nn.Module], folder: Path) -> list[Path]:
        """Write the task's ONNX files into a folder; see `export`."""
        return export(self.task, nets, self.recipe, folder)


@dataclass
class Shown:
    """Tells how training goes: log lines, and now and then samples and the exported files.

    Attributes:
        engine: that trains.
        training: the original.
        export: writes the files of the generators as they are, and returns their paths.
        before: steps that were taken before the engine's first one.
    """

    engine: Engine
    training: Training
    export: Callable[[], list[Path]]
    before: int = 0
    _logged_step: int = field(init=False)
    _logged: float = field(default_factory=time.monotonic)
    _sampled: float = field(default_factory=time.monotonic)
    _first: bool = True

    def __post_init__(self) -> None:
        """Count from the step at which the engine is."""
        self._logged_step = self.engine.step

    def run(self, finish: Callable[[], T], stage: str = "") -> T:
        """Train to the end, then let the main process finish; returns what that gives.

        Args:
            finish: writes what comes of the training.
            stage: name of the folder of its event files, where a training has several.
        """
        training, engine = self.training, self.engine
        engine.report = self.report
        events = training.folder / EVENTS_FOLDER / stage if training.tensorboard else None
        sheets = training.folder / _SAMPLES
        with logged(engine, events, sheets=sheets, before=self.before):
            engine.run()
            return engine.processes.on_main(finish)

    def report(self, news: News) -> None:
        """Take note of a step."""
        now = time.monotonic()
        if self._first or now - self._logged >= LOG_EVERY_S:
            self._log(news, (now - self._logged) / (news.step - self._logged_step))
            self._logged, self._logged_step, self._first = now, news.step, False
        if now - self._sampled >= self.training.sample_every_s:
            self.write()
            self._sampled = time.monotonic()

    def _log(self, news: News, pace_s: float) -> None:
        losses = ", ".join(f"{name} {value:.3f}" for name, value in news.losses.items())
        step, steps = self.before + news.step, self.training.task.steps
        line = "step %d of %d: %s, %.3f s per step, %s left"
        _log.info(line, step, steps, losses, pace_s, duration((steps - step) * pace_s))

    def write(self) -> Path:
        """Write a sheet of samples, discriminators and ONNX files; returns the first of those."""
        step, folder = self.before + self.engine.step, self.training.folder
        sheet = folder / _SAMPLES / f"step-{step:06d}.png"
        training = self.training
        nets = with_statistics(training.task, self.engine.means, training.recipe)
        write_sheet(training.task.show(nets), sheet)
        for name, net in self.training.task.nets.items():
            if isinstance(net, DISCRIMINATORS):
                save_discriminator(net, folder / f"{name}.safetensors")
        return self.export()[0]


def with_statistics(
    task: Original, nets: Mapping[str, nn.Module], recipe: Recipe
) -> Mapping[str, nn.Module]:
    """The nets of a task, with generators as they paint once they are exported.

    Where the recipe asks for the statistics of each picture (`decig.training.pytorch.statistics`)
    these are copies; training normalises by those of the batch in any case. Graphs that are trained
    in the place of generators are what is exported.
    """
    if recipe.source is None or not recipe.source.batch_statistics:
        return nets
    found = dict(nets)
    for name in (name for name in task.averages if running_norms(nets[name])):
        found[name] = copy.deepcopy(nets[name])
        choose_statistics(found[name], recipe.source, type(nets[name]).__name__, trained=False)
    return found


def export(
    task: Original, nets: Mapping[str, nn.Module], recipe: Recipe, folder: Path
) -> list[Path]:
    """Write the ONNX files of a task into a folder; each says how it is fed.

    Args:
        task: says which nets are written, under which names.
        nets: the running means of its nets.
        recipe: of its generator.
        folder: where the files go.

    Returns:
        Their paths.

    Raises:
        BadInputError, DecigError: as for `export_onnx`.
    """
    paths = []
    for name, net in task.exports(with_statistics(task, nets, recipe)).items():
        paths.append(folder / name)
        proto = net.written() if isinstance(net, Slim) else _exported(net, recipe)
        # How it is fed, so that other commands need not be told.
        stamp(proto, {"pixels": pixels_entry(recipe.pixels)})
        save_model(proto, paths[-1])
    return paths


def _exported(net: nn.Module, recipe: Recipe) -> onnx.ModelProto:
    """The graph of a net; errors as for `export_onnx`.

    It is written elsewhere first: whoever finds the file in a run folder finds its stamp in it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "net.onnx"
        export_onnx(copy.deepcopy(net).cpu(), recipe.input_shapes, file)
        return onnx.load(file)


def duration(seconds: float) -> str:
    """Write a duration in its largest units, such as "2 d 3 h", "1 h 5 min" or "40 s"."""
    parts: list[str] = []
    rest = max(0, round(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
