"""Single training steps of decig's stages, and of plain distillation, to be timed in turns.

Plain distillation is written out here: no proximal step, no running mean, no schedule. Everything
else is the same: crops, loss, precision.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
import torch
from competitors.training import distillation
from torch import nn
from torch.fx import GraphModule

from decig.data.pixels import PixelFormat
from decig.device.cost.terms import LatencyTerm
from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import Model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.training.config import Config
from decig.training.loop.engine import Engine
from decig.training.loop.precision import Precision
from decig.training.loop.schedule import Budget, constant
from decig.training.losses.output import OutputLoss, picture_of
from decig.training.narrowing.condense import Condenser
from decig.training.narrowing.latents import LatentModule
from decig.training.narrowing.shrinking import Shrinking
from decig.training.narrowing.steering import Narrowing, Steered
from decig.training.tasks.distil import Distil
from decig.training.tasks.sandwich import Menu, Sandwich
from decig.training.trainable.elastic import Elastic
from decig.training.trainable.module import build_module, parameters_by_initializer

Step = Callable[[], None]

_NEVER = 10**9
"""Steps after which the teacher paints again: not while anything is timed."""


@dataclasses.dataclass(frozen=True)
class Work:
    """The net whose training steps are compared.

    Attributes:
        model: its ONNX graph.
        data: folder of its images.
        pixels: its pixel format.
        config: settings of the training.
    """

    model: Model
    data: Path
    pixels: PixelFormat
    config: Config

    def engine(
        self,
        proto: onnx.ModelProto,
        *,
        paints: bool = True,
        wrap: Callable[[GraphModule], nn.Module] = lambda net: net,
    ) -> Engine:
        """Set decig's engine up to train a graph.

        Args:
            proto: the graph.
            paints: whether the teacher paints new crops at every step, or none that is timed.
            wrap: makes what is trained of the graph's module.
        """
        refresh = 1 if paints else _NEVER
        settings = msgspec.structs.replace(self.config.distil, refresh=refresh, pool=1)
        config = dataclasses.replace(self.config, distil=settings)
        size = (settings.crop,) * 2 if settings.crop else None
        student = wrap(build_module(proto, input_size=size))
        budget = Budget(steps=0)
        return distillation(student, self.model.path, self.data, self.pixels, config, budget)

    def plain(self, proto: onnx.ModelProto, *, paints: bool = True) -> Step:
        """One step of plain distillation of a graph."""
        task = _task(self.engine(proto, paints=paints))
        train, settings = self.config.train, self.config.distil
        optimiser = torch.optim.Adam(task.student.parameters(), train.learning_rate)
        precision = task.precision
        assert isinstance(precision, Precision)
        compared = OutputLoss(settings.chroma, settings.gradient, settings.structure)
        student = task.student.train()
        done = 0

        def step() -> None:
            nonlocal done
            batch = task.batch(done)
            picture = picture_of(precision.run(student, *batch.inputs)[0], self.pixels)
            loss = compared(picture, batch.teacher)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done += 1

        return step

    def stage_one(self, proto: onnx.ModelProto) -> Step:
        """A step of stage I: with the proximal step, and now and then a count of live channels."""
        engine, channels = self.engine(proto), analyse(proto)
        student = _task(engine).student
        assert isinstance(student, GraphModule)
        costs = {group.name: 1.0 for group in channels.prunable}
        return _with(engine, Condenser(parameters_by_initializer(student), channels, costs))

    def stage_two(self, proto: onnx.ModelProto) -> Step:
        """A step of stage II."""
        return _of_engine(self.engine(proto))

    def hypernet(self, proto: onnx.ModelProto) -> Step:
        """A step of the method hypernet: weights made of latent numbers, which shrink."""
        channels = analyse(proto)
        first = {group.name: np.ones(group.channels) for group in channels.prunable}
        engine = self.engine(proto, wrap=lambda net: LatentModule(net, channels, first))
        student = _task(engine).student
        assert isinstance(student, LatentModule)
        return _with(engine, Shrinking(student, channels, _Widths(channels)))

    def sandwich(self, proto: onnx.ModelProto, menu: Sequence[Mapping[str, int]]) -> Step:
        """A step of the method supernet that trains all networks of a menu."""
        channels = analyse(proto)
        order = magnitude_order(proto, channels)
        engine = self.engine(proto, paints=False)
        outputs = [info.name for info in proto.graph.output]
        size = self.config.distil.crop
        elastic = Elastic(proto, channels, order, outputs, (size, size) if size else None)
        engine.task = Sandwich(_task(engine), elastic, Menu(menu, (), 0, 0))
        return _of_engine(engine)


def _task(engine: Engine) -> Distil:
    """The task that `competitors.training.distillation` sets up."""
    assert isinstance(engine.task, Distil)
    return engine.task


def magnitude_order(proto: onnx.ModelProto, channels: ChannelMap) -> dict[str, np.ndarray]:
    """Indices of the channels of every group, those with the greatest weights first."""
    scores = magnitude_scores(proto, channels)
    return {name: np.argsort(-np.asarray(each), kind="stable") for name, each in scores.items()}


def slim(proto: onnx.ModelProto, keep: float) -> tuple[onnx.ModelProto, dict[str, int]]:
    """Cut a graph to a share of its channels everywhere; returns the graph and its widths."""
    channels = analyse(proto)
    widths = uniform_widths(channels, keep)
    plan = plan_from_widths(channels, widths, magnitude_scores(proto, channels), "")
    return slice_graph(proto, channels, plan), widths


class _Widths:
    """Stands for a predictor: latency by the sum of all widths, which no step's time shows."""

    def __init__(self, channels: ChannelMap) -> None:
        self.groups = {group.name: group.channels for group in channels.prunable}
        self.candidates: Mapping[str, Sequence[int]] = {
            name: list(range(4, full + 1, 4)) for name, full in self.groups.items()
        }

    def predict_many(self, widths: np.ndarray) -> np.ndarray:
        return widths.sum(axis=1).astype(float)

    def terms(self) -> Iterator[LatencyTerm]:
        for index in range(len(self.groups)):
            yield LatencyTerm((index,), self.predict_many)

    def predict_ms(self, widths: Mapping[str, int]) -> float:
        return float(sum(widths[name] for name in self.groups))


def _with(engine: Engine, narrowing: Narrowing) -> Step:
    steered = Steered(narrowing, constant, lambda widths: 1.0, 1.0, 1.0, engine.processes)
    engine.parts = (steered,)
    return _of_engine(engine)


def _of_engine(engine: Engine) -> Step:
    """One step of decig's engine, whatever the stage has put into it."""

    def step() -> None:
        # The share of the budget only sets the learning rate.
        engine.budget = Budget(steps=engine.step + 1)
        engine.run()

    return step
