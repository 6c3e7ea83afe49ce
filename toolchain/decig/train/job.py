"""What the steps of a compression share: the images, the teacher, prediction and planning."""

import dataclasses
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial

import numpy as np
import onnx
import torch
from torch.fx import GraphModule

from decig.data.crops import bound, fit
from decig.data.feeds import FILES, Feeds, Inputs, drawn_names, output_image
from decig.data.images import ImageFolder, name_in
from decig.data.pairs import by_stem
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, analyse
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.progress import Progress
from decig.repair.scores import Importance
from decig.train.evaluate import HeldOut
from decig.train.hinge import find_hinge
from decig.train.loop import Budget, Loop
from decig.train.module import build_module, takes_batches
from decig.train.parity import require_parity
from decig.train.pool import Crops, Example, TeacherPool
from decig.train.precision import make_accelerator
from decig.train.request import Request
from decig.train.run import RunFolder

log = logging.getLogger(__name__)

_DRAWS = 64
"""Pictures of a model that takes no image."""


class Job:
    """One compression: reads its images once and makes what the steps ask for."""

    def __init__(self, request: Request, progress: Progress) -> None:
        """Read the images and seed what is random.

        Raises:
            BadInputError: the images do not fit or are too few, the table is of another graph, or
                the model cannot be trained.
            DecigError: the trainable module does not compute what the model does.
        """
        self.request, self.progress, self.settings = request, progress, request.settings
        self.channels = analyse(request.model.proto)
        request.device.table.require_same_model(request.model, self.channels)
        self.predictor = request.device.predictor
        torch.manual_seed(self.settings.seed)
        self.accelerator = make_accelerator(self.settings.precision)
        self.inputs = Inputs.of(request.model.proto, request.pixels, request.feeds, request.images)
        examples = self._examples()
        kept = max(1, min(self.settings.held_out, len(examples) // 5))
        self.training, self.validation = examples[:-kept], examples[-kept:]
        if not self.training:
            raise BadInputError(f"{request.images}: one image is not enough; give at least two")
        self._require_trainable()

    def _require_trainable(self) -> None:
        """Build the teacher as a module and compare it with ONNX Runtime on a training image."""
        proto = self.request.model.proto
        picture = output_image(proto).name
        teacher = build_module(proto, [picture], self.crop())
        require_parity(teacher, proto, self.feeds(self.training[:1])[0], [picture])

    def _examples(self) -> list[Example]:
        """Inputs, each with its real target if there is one, in a seeded order.

        They are kept no larger than crops can make use of, so that a folder of photos straight
        from a camera fits into memory and crops show things as large as the model will see them.
        """
        if self.inputs.image is None:
            if self.request.targets is not None:
                raise BadInputError("--targets needs a model that takes images")
            found = [Example(name) for name in drawn_names(self.inputs, _DRAWS)]
        else:
            self._require_croppable()
            filters = [self.request.pixels.resample, "smooth"]
            smallest = max(self.crop(whole=self.request.fold_norms) or self.size)
            largest = round(self.settings.zoom * max(self.size))
            found = [
                Example(name, bound(group, smallest, largest, filters=filters[: len(group)]))
                for name, group in self._read_images()
            ]
        order = np.random.default_rng(self.settings.seed).permutation(len(found))
        return [found[index] for index in order]

    def _read_images(self) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
        images, targets, labels = (
            self.request.images,
            self.request.targets,
            self.request.pixels.labels,
        )
        if images is None:
            raise BadInputError("give a folder of images to feed the model: --data")
        if targets is None:
            folder = ImageFolder(images, labels)
            return ((name_in(images, path), (pixels,)) for path, pixels in folder)
        pairs = by_stem(images, targets, labels)
        return ((pair.name, (pair.input, pair.target)) for pair in pairs)

    def _require_croppable(self) -> None:
        """Refuse maps from files beside the image: they would have to be cut as it is."""
        for info in self.inputs.others:
            if self.inputs.declared[info.name] == FILES and self.inputs.along_image(info):
                raise BadInputError(
                    f"input {info.name} is a map as large as the image: compress crops the image "
                    "alone, so it cannot come from files"
                )

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's input; of its picture where it takes no image."""
        shape = (self.inputs.image or output_image(self.request.model.proto)).shape
        return self.request.pixels.size_of(shape)

    @property
    def input_channels(self) -> int:
        """Channels of the model's image input."""
        image = self.inputs.image
        return 0 if image is None else self.request.pixels.channels_of(image.shape)

    def feeds(self, examples: Sequence[Example]) -> list[Feeds]:
        """Fit images to the model's input, and add what goes in beside them."""
        pixels, seed = self.request.pixels, self.settings.seed

        def fitted(example: Example) -> np.ndarray | None:
            if not example.images:
                return None
            return fit(example.images[0], *self.size, resample=pixels.resample)

        return [self.inputs.feed(fitted(each), pixels, each.name, seed=seed) for each in examples]

    @cached_property
    def repair_inputs(self) -> list[Feeds]:
        """Training images that scores and repair look at."""
        return self.feeds(self.training[: self.settings.repair_crops])

    @cached_property
    def held_out(self) -> HeldOut:
        """Images that training never sees, with the teacher's pictures."""
        inputs = self.feeds(self.validation)
        return HeldOut(self.request.model.proto, inputs, self.request.pixels)

    @cached_property
    def importance(self) -> Importance:
        """How much each channel of the teacher matters."""
        return self.score(self.request.model.proto, self.channels)

    def score(self, proto: onnx.ModelProto, channels: ChannelMap) -> Importance:
        """How much each channel of a graph matters, on real inputs."""
        self.progress("score channels", 0.0, {})
        return Importance(proto, channels, self.repair_inputs)

    @cached_property
    def plan(self) -> Plan:
        """What stays of the teacher at the latency asked for; errors as `plan_for`."""
        teacher = self.request.model.proto
        return self.plan_for(teacher, self.channels, self.importance, self.request.target_ms)

    def plan_for(
        self,
        proto: onnx.ModelProto,
        channels: ChannelMap,
        scores: Importance,
        target_ms: float | None,
    ) -> Plan:
        """Choose what stays of a graph: for a latency, or at the hinge where none is asked.

        Raises:
            TargetMissedError: no plan is that fast; the message names the fastest.
        """

        def plan(widths: Mapping[str, int]) -> Plan:
            # A condensed graph has fewer channels than the table's.
            best = {name: order[: widths[name]] for name, order in scores.order.items()}
            keep = {name: sorted(int(i) for i in indices) for name, indices in best.items()}
            return Plan(self.request.model.sha256, keep)

        if target_ms is None:
            gains = {g.name: -np.diff(scores.loss[g.name]) for g in channels.prunable}
            hinges = {name: find_hinge(np.maximum(gain, 0)) for name, gain in gains.items()}
            return plan({name: found or channels.widths[name] for name, found in hinges.items()})
        met = self.request.device.plan(
            # Channels that a condensed graph lacks lose nothing.
            {name: self._extend(name, curve) for name, curve in scores.loss.items()},
            target_ms,
            lambda widths: slice_graph(proto, channels, plan(widths)),
            tell=partial(self.progress, "plan", 1.0),
            most=channels.widths,
        )
        return plan(met.widths)

    def _extend(self, group: str, loss: np.ndarray) -> np.ndarray:
        missing = self.channels.widths[group] + 1 - len(loss)
        return np.concatenate([loss, np.zeros(missing)])

    def run_time(self) -> dict[str, float]:
        """I(i): measured run time of the nodes that each group's channels run through."""
        spent = {node.name: node.latency_us for node in self.request.device.table.nodes}
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
        settings, proto = self.settings, self.request.model.proto
        cut = self.crop(whole=whole)
        size = cut or self.size
        teacher = build_module(proto, [output_image(proto).name], cut).eval()
        pixels = settings.crop**2 or math.prod(size)
        batch = settings.batch * pixels // math.prod(size)
        if batch > 1 and not takes_batches(teacher):
            log.warning("the model is made for one image at a time: batch = 1")
            batch = 1
        return TeacherPool(
            self.training,
            self.accelerator.prepare_model(teacher, evaluation_mode=True),
            self.request.pixels,
            self.inputs,
            Crops(*size, max(1, batch), settings.zoom),
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

    def crop(self, *, whole: bool = False) -> tuple[int, int] | None:
        """Height and width of the training crops; None where there is no image to crop.

        `whole` makes them as large as the model's input.
        """
        if self.inputs.image is None:
            return None
        side = (0 if whole else self.settings.crop) or max(self.size)
        return min(side, self.size[0]), min(side, self.size[1])
