"""Training pairs: crops of the user's images and what the teacher makes of them.

The teacher takes long compared with a slim student, so it runs at every `refresh`-th step only,
and its recent pictures are used again in between. Every choice follows from the seed, the number
of the batch and the rank of the process: a resumed run sees the batches that an unbroken one
would have seen, and processes that train together see different ones. Students that are trained one
after the other see the same pictures, of which the first are kept for all of them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from decig.data.crops import random_crop
from decig.data.feeds import Feeds, Inputs
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.training.loop.precision import Precision
from decig.training.losses.output import picture_of


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        inputs: what the model takes, in the order of the graph.
        source: the one of them that is the image; None where there is none.
        teacher: the teacher's picture, N,C,H,W scaled to 0..1.
        target: the real picture in the same form, where there is one.
        real: real pictures that are made of something else, in the same form, where there are.
    """

    inputs: tuple[Tensor, ...]
    source: Tensor | None
    teacher: Tensor
    target: Tensor | None
    real: Tensor | None = None


@dataclass(frozen=True)
class Example:
    """What crops are cut out of.

    Attributes:
        name: of the file (`decig.data.images.name_in`); other inputs that come from files are
            found by it.
        images: uint8 H,W,3, the input alone or with its real target, which is as many times as
            large as the model's pictures are; none where the model takes no image.
    """

    name: str
    images: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Crops:
    """How crops are cut.

    Attributes:
        height: of a crop of the input, in pixels.
        width: of a crop of the input, in pixels.
        batch: crops per step and process.
        zoom: crops are cut from windows up to this many times larger, and shrunk.
    """

    height: int
    width: int
    batch: int
    zoom: float


@dataclass(frozen=True)
class _Cut:
    """A batch's inputs as they are stored: bytes N,H,W,3, and what goes in beside them."""

    crops: list[np.ndarray]
    others: Feeds

    def pick(self, place: int) -> "_Cut":
        one = slice(place, place + 1)
        others = {n: array[one] if array.ndim > 1 else array for n, array in self.others.items()}
        return _Cut([kind[one] for kind in self.crops], others)


class TeacherPool:
    """Crops with the teacher's pictures, a bounded number of them replayed."""

    def __init__(
        self,
        examples: Sequence[Example],
        teacher: nn.Module,
        pixels: PixelFormat,
        inputs: Inputs,
        crops: Crops,
        *,
        refresh: int,
        capacity: int,
        seed: int,
        device: torch.device,
        precision: Precision | None = None,
        rank: int = 0,
        kept_bytes: int = 0,
    ) -> None:
        """Set the pool up; no crop is made yet.

        Args:
            examples: what to cut from.
            teacher: takes and gives tensors in the model's pixel format; where it gives a tuple,
                the picture is the first of it.
            pixels: that format.
            inputs: the model's inputs.
            crops: how to cut.
            refresh: the teacher makes one new batch at every `refresh`-th step.
            capacity: batches that are kept to be used again.
            seed: of every random choice.
            device: where batches are wanted, and where the teacher is.
            precision: that the teacher computes in; float32 if None.
            rank: of this process among those that train together.
            kept_bytes: memory that batches may take which are kept for the next student.

        Raises:
            BadInputError: an image is smaller than a crop.
        """
        largest = max(crops.height, crops.width)
        small = min((min(e.images[0].shape[:2]) for e in examples if e.images), default=largest)
        if small < largest:
            size = f"{crops.height}x{crops.width}"
            raise BadInputError(
                f"the smallest image side is {small} px, too small for {size} crops"
            )
        self._examples, self._teacher, self._pixels, self._inputs = (
            examples,
            teacher,
            pixels,
            inputs,
        )
        self._crops, self._refresh, self._device = crops, refresh, device
        self._seed, self._rank = seed, rank
        self._precision = precision or Precision(device.type)
        self._stored: deque[tuple[_Cut, Tensor]] = deque(maxlen=capacity)
        self._made = 0
        self._kept: list[tuple[_Cut, Tensor]] = []
        self._room = kept_bytes

    def batch(self, step: int) -> Batch:
        """Return the batch of a step.

        Steps are to be asked for in ascending order; an earlier one begins anew, for another
        student.
        """
        self.prepare(step)
        if step % self._refresh == 0:
            return self._assemble(*self._stored[-1])
        rng = np.random.default_rng([self._seed, 1, step, self._rank])
        picks = rng.integers(len(self._stored) * self._crops.batch, size=self._crops.batch)
        places = [divmod(int(pick), self._crops.batch) for pick in picks]
        cuts = [self._stored[batch][0].pick(place) for batch, place in places]
        if not _can_join(cuts):
            return self._assemble(*self._stored[places[0][0]])
        return self._assemble(_join(cuts), torch.stack([self._stored[b][1][i] for b, i in places]))

    def prepare(self, step: int) -> None:
        """Let the teacher paint what the pool holds at a step, as far as it is not there yet.

        After a resume the pool is empty: what it would hold is made again.
        """
        newest = step // self._refresh
        if newest + 1 < self._made:
            self._stored.clear()
            self._made = 0
        first = max(self._made, newest + 1 - (self._stored.maxlen or 1))
        for number in range(first, newest + 1):
            self._stored.append(self._kept_or_made(number))
        self._made = newest + 1

    def _kept_or_made(self, number: int) -> tuple[_Cut, Tensor]:
        """A stored batch; the first ones are kept as long as there is room."""
        if number < len(self._kept):
            return self._kept[number]
        made = self._make(number)
        size = sum(array.nbytes for array in (*made[0].crops, *made[0].others.values()))
        size += made[1].nbytes
        if number == len(self._kept) and size <= self._room:
            self._kept.append(made)
            self._room -= size
        return made

    def _make(self, number: int) -> tuple[_Cut, Tensor]:
        """Cut new crops and let the teacher paint them; stored small: bytes and half floats."""
        rng = np.random.default_rng([self._seed, 0, number, self._rank])
        picks = rng.integers(len(self._examples), size=self._crops.batch)
        cut = _join([self._cut(self._examples[index], rng) for index in picks])
        with torch.no_grad():
            picture, *_ = self._precision.run(self._teacher, *self._feed(cut)[0])
        return cut, picture_of(picture, self._pixels).to(torch.float16)

    def _cut(self, example: Example, rng: np.random.Generator) -> _Cut:
        height, width = self._crops.height, self._crops.width
        crops: list[np.ndarray] = []
        if example.images:
            filters = [self._pixels.resample, "smooth"][: len(example.images)]
            square = max(height, width)
            found = random_crop(
                example.images, square, rng, shrink=self._crops.zoom, filters=filters
            )
            scales = [len(crop) // square for crop in found]
            crops = [
                crop[None, : scale * height, : scale * width]
                for crop, scale in zip(found, scales, strict=True)
            ]
        return _Cut(crops, self._inputs.draw(rng, example.name, (height, width)))

    def _feed(self, cut: _Cut) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Turn crops and the rest into the model's inputs, and say which is the image."""
        image, tensor = self._inputs.image, None
        if image is not None:
            tensor = self._pixels.to_tensor(cut.crops[0], self._pixels.channels_of(image.shape))
        arrays = self._inputs.join(tensor, cut.others)
        feeds = {name: torch.from_numpy(array).to(self._device) for name, array in arrays.items()}
        if image is None:
            return tuple(feeds.values()), None
        if self._pixels.layout == "nchw":
            feeds[image.name] = feeds[image.name].to(memory_format=torch.channels_last)
        return tuple(feeds.values()), feeds[image.name]

    def _assemble(self, cut: _Cut, teacher: Tensor) -> Batch:
        target = None
        if len(cut.crops) > 1:
            target = as_pictures(cut.crops[1], self._pixels, teacher.shape[1]).to(self._device)
        return Batch(*self._feed(cut), teacher.float(), target)


def as_pictures(real: np.ndarray, pixels: PixelFormat, channels: int) -> Tensor:
    """Turn real pictures into the form of what a model paints.

    Args:
        real: RGB uint8 N,H,W,3.
        pixels: the model's pixel format.
        channels: of its pictures.

    Returns:
        N,C,H,W scaled to 0..1, in the order of the model.
    """
    # Channels last, as the model's pictures are.
    wanted = replace(pixels.of_pictures((0.0, 255.0)), layout="nhwc")
    return torch.from_numpy(wanted.to_tensor(real, channels)).permute(0, 3, 1, 2) / 255


def _can_join(cuts: list[_Cut]) -> bool:
    """Whether numbers and vectors, which a batch has once, are the same beside all crops.

    The teacher painted each crop with its own.
    """
    return all(
        array.ndim > 1 or all(np.array_equal(array, cut.others[name]) for cut in cuts)
        for name, array in cuts[0].others.items()
    )


def _join(cuts: list[_Cut]) -> _Cut:
    """Make one batch of several; of numbers and vectors, which have no batch, the first."""
    crops = [np.concatenate(kind) for kind in zip(*(cut.crops for cut in cuts), strict=True)]
    others = {
        name: np.concatenate([cut.others[name] for cut in cuts]) if array.ndim > 1 else array
        for name, array in cuts[0].others.items()
    }
    return _Cut(crops, others)
