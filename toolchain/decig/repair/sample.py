"""Looking at a layer: what it reads now and gave in the original, at random positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decig.device.run.threads import side_by_side
from decig.repair.taps import Geometry, columns

_ROWS = 32768  # positions over all images that a layer is fitted to, at most
_NUMBERS = 60e6  # in one layer's matrix of inputs, at most
_PRODUCTS = 5e10  # of two numbers, at most, for the product of that matrix with itself


@dataclass(frozen=True)
class Sample:
    """Values of a layer at the same random positions, a few in every image; all are float32.

    Attributes:
        source: what it reads in the repaired graph, [images, positions, features].
        output: what it gives in the original, [images, positions, outputs].
        end: the original's value at the end of the layer's tail, likewise.
        skip: what the tail adds in the repaired graph, likewise, or one number for all outputs;
            0 without any.
        mean: mean of the original's output over each whole image, [images, 1, outputs].
        spread: its standard deviation, likewise.
    """

    source: np.ndarray
    output: np.ndarray
    end: np.ndarray
    skip: np.ndarray | float
    mean: np.ndarray
    spread: np.ndarray


def take_sample(
    layout: Geometry,
    source: Sequence[np.ndarray],
    output: Sequence[np.ndarray],
    end: Sequence[np.ndarray],
    skip: Sequence[np.ndarray] | None,
    kept: np.ndarray,
    rng: np.random.Generator,
) -> Sample:
    """Look at every image.

    Args:
        layout: of the layer.
        source: what it reads; batches of [N, C, *spatial], as the following, in the same order.
        output: what it gives in the original.
        end: the end of the layer's tail there, which may be cropped at its far sides.
        skip: what the tail adds in the repaired graph, if it does.
        kept: numbers of the channels of `output` and `end` that stay.
        rng: chooses the positions.
    """
    images, made, ended, added = (
        [item for batch in batches for item in batch]
        for batches in (source, output, end, skip or [])
    )
    whole, cropped = made[0].shape[1:], ended[0].shape[1:]
    room, outputs = int(np.prod(cropped)), len(kept)
    features = images[0].shape[0] * int(np.prod(layout.kernel))
    count = max(1, min(int(rows_for(features) / len(images)), room))
    chosen = [np.sort(rng.choice(room, count, replace=False)) for _ in images]

    def empty(positions: int, channels: int) -> np.ndarray:
        return np.empty((len(images), positions, channels), np.float32)

    sample = Sample(
        source=empty(count, features),
        output=empty(count, outputs),
        end=empty(count, outputs),
        skip=empty(count, len(added[0])) if added else 0.0,
        mean=empty(1, outputs),
        spread=empty(1, outputs),
    )

    def look(index: int) -> None:
        places = inside = chosen[index]
        if whole != cropped:  # positions in the crop, counted in the layer's own output
            places = np.ravel_multi_index(np.unravel_index(inside, cropped), whole)
        taps = layout.taps(places)
        rows = sample.source[index].reshape(*taps.shape, -1)
        columns(images[index], taps, out=rows)
        seen = made[index][(kept, *map(slice, cropped))].reshape(outputs, -1)
        seen = seen.astype(np.float32, copy=False)  # squares overflow float16
        sample.output[index] = seen[:, inside].T
        sample.mean[index], sample.spread[index] = seen.mean(1), seen.std(1)
        sample.end[index] = ended[index].reshape(-1, room)[kept[:, None], inside].T
        if isinstance(sample.skip, np.ndarray):
            wide = np.broadcast_to(added[index], (len(added[index]), *cropped))
            sample.skip[index] = wide.reshape(-1, room)[:, inside].T

    side_by_side(look, range(len(images)))
    return sample


def rows_for(features: int) -> float:
    """Positions over all images to which a layer with so many inputs times taps is fitted, at most.

    They are fewer for wide layers, so that all are fitted in about the same time: whichever side of
    the matrix is shorter, `solve.regression` makes a product of that side's length.
    """
    tall = _PRODUCTS / features**2
    affordable = tall if tall >= features else (_PRODUCTS / features) ** 0.5
    return min(_ROWS, _NUMBERS / features, affordable)
