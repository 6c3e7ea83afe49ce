"""What the steps of a compression share: the images, the teacher, prediction and planning."""

import dataclasses
import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import onnx
import torch
from torch.fx import GraphModule

from decig.data.crops import bound, fit
from decig.data.images import ImageFolder
from decig.data.pairs import by_stem
from decig.device.planner import plan_widths
from decig.device.predict import Predictor
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import input_info
from decig.repair.scores import Importance
from decig.train.evaluate import HeldOut
from decig.train.hinge import find_hinge
from decig.train.loop import Budget, Loop
from decig.train.module import build_module
from decig.train.pool import Crops, TeacherPool
from decig.train.precision import make_accelerator
from decig.train.request import Progress, Request
from decig.train.run import RunFolder


class Job:
    """One compression: reads its images once and makes what the steps ask for."""

    def __init__(self, request: Request, progress: Progress) -> None:
        """Read the images and seed what is random.

        Raises:
            BadInputError: the images do not fit or are too few, or the table is of another graph.
        """
        request.table.require_same_model(request.model)
        self.request, self.progress, self.settings = request, progress, request.settings
        self.channels = analyse(request.model.proto)
        self.predictor = Predictor(request.table)
        torch.manual_seed(self.settings.seed)
        self.accelerator = make_accelerator(self.settings.precision)
        images = self._read_images()
        kept = max(1, min(self.settings.held_out, len(images) // 5))
        self.training, self.validation = images[:-kept], images[-kept:]
        if not self.training:
            raise BadInputError(f"{request.images}: one image is not enough; give at least two")

    def _read_images(self) -> list[tuple[np.ndarray, ...]]:
        """Inputs, each with its real target if there is one, in a seeded order.

        They are kept no larger than crops can make use of, so that a folder of photos straight
        from a camera fits into memory and crops show things as large as the model will see them.
        """
        request = self.request
        if request.targets is None:
            read: Iterator[tuple[np.ndarray, ...]] = ((p,) for _, p in ImageFolder(request.images))
        else:
            pairs = by_stem(request.images, request.targets)
            read = ((pair.input, pair.target) for pair in pairs)
        filters = ["nearest" if request.label_maps else "smooth", "smooth"]
        largest = round(self.settings.zoom * max(self.size))
        found = [
            bound(group, max(self.crop), largest, filters=filters[: len(group)]) for group in read
        ]
        order = np.random.default_rng(self.settings.seed).permutation(len(found))
        return [found[index] for index in order]

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's input."""
        shape = input_info(self.request.model.proto)[0].shape
        height, width = shape[2:] if self._planar else shape[1:3]
        return height, width

    @property
    def _planar(self) -> bool:
        return self.request.pixels.layout == "nchw"

    @property
    def input_channels(self) -> int:
        """Channels of the model's input."""
        return input_info(self.request.model.proto)[0].shape[1 if self._planar else 3]

    def tensor(self, images: list[tuple[np.ndarray, ...]]) -> np.ndarray:
        """Fit images to the model's input and bring them into its pixel format."""
        resample = "nearest" if self.request.label_maps else "smooth"
        fitted = np.stack([fit(group[0], *self.size, resample=resample) for group in images])
        return self.request.pixels.to_tensor(fitted, self.input_channels)

    @cached_property
    def repair_inputs(self) -> np.ndarray:
        """Training images that scores and repair look at."""
        return self.tensor(self.training[: self.settings.repair_crops])

    @cached_property
    def held_out(self) -> HeldOut:
        """Images that training never sees, with the teacher's pictures."""
        inputs = self.tensor(self.validation)
        return HeldOut(self.request.model.proto, inputs, self.request.pixels)

    @cached_property
    def importance(self) -> Importance:
        """How much each channel of the teacher matters."""
        return self.score(self.request.model.proto, self.channels)

    def score(self, proto: onnx.ModelProto, channels: ChannelMap) -> Importance:
        """How much each channel of a graph matters, on real inputs."""
        self.progress("score channels", 0.0, {})
        return Importance(proto, channels, self.repair_inputs)

    def widths(
        self, channels: ChannelMap, scores: Importance, target_ms: float | None
    ) -> dict[str, int]:
        """Choose the width of every group: for a latency, or at the hinge where none is asked.

        Raises:
            TargetMissedError: no plan is that fast; the message names the fastest.
        """
        if target_ms is not None:
            # A condensed graph has fewer channels than the table's: more lose nothing.
            loss = {name: self._extend(name, curve) for name, curve in scores.loss.items()}
            widths = plan_widths(self.predictor, loss, target_ms)
            return {name: min(width, channels.widths[name]) for name, width in widths.items()}
        gains = {g.name: -np.diff(scores.loss[g.name]) for g in channels.prunable}
        hinges = {name: find_hinge(np.maximum(gain, 0)) for name, gain in gains.items()}
        return {name: found or channels.widths[name] for name, found in hinges.items()}

    def _extend(self, group: str, loss: np.ndarray) -> np.ndarray:
        missing = self.channels.widths[group] + 1 - len(loss)
        return np.concatenate([loss, np.zeros(missing)])

    def run_time(self) -> dict[str, float]:
        """I(i): measured run time of the nodes that each group's channels run through."""
        spent = {node.name: node.latency_us for node in self.request.table.nodes}
        return {
            group.name: sum(spent.get(node, 0.0) for node in group.nodes)
            for group in self.channels.prunable
        }

    def pool(self, *, seed: int, whole: bool = False) -> TeacherPool:
        """Make a pool of crops that the teacher paints.

        Args:
            seed: of every random choice.
            whole: cut crops as large as the model's input, and as few a step as cost the same.
        """
        settings, size = self.settings, self.size if whole else self.crop
        pixels = settings.batch * math.prod(self.crop)
        crops = Crops(
            *size,
            batch=max(1, pixels // math.prod(size)),
            zoom=settings.zoom,
            nearest=self.request.label_maps,
        )
        teacher = build_module(self.request.model.proto, input_size=size).eval()
        return TeacherPool(
            self.training,
            self.accelerator.prepare_model(teacher, evaluation_mode=True),
            self.request.pixels,
            self.input_channels,
            crops,
            refresh=settings.refresh,
            capacity=settings.pool,
            seed=seed,
            device=self.accelerator.device,
        )

    def loop(
        self,
        student: GraphModule,
        budget: Budget,
        run: RunFolder,
        state: str,
        *,
        rate: float = 1.0,
        pool: TeacherPool | None = None,
    ) -> Loop[GraphModule]:
        """Set up the training of a student against the teacher, at a share of the learning rate."""
        asked = self.settings
        return Loop(
            student,
            pool or self.pool(seed=asked.seed),
            self.request.pixels,
            dataclasses.replace(asked, learning_rate=rate * asked.learning_rate),
            budget,
            self.accelerator,
            state_file=run.file("state") / state,
        )

    @property
    def crop(self) -> tuple[int, int]:
        """Height and width of the training crops."""
        side = self.settings.crop or max(self.size)
        return min(side, self.size[0]), min(side, self.size[1])
