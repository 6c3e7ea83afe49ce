"""Looking at a layer: what it reads now and gave in the original, at random positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decig.repair.taps import Geometry, columns

_ROWS = 32768  # positions over all images that a layer is fitted to, at most
_NUMBERS = 60e6  # in one layer's matrix of inputs, at most
_PRODUCTS = 5e10  # of two numbers, at most, for the product of that matrix with itself


@dataclass(frozen=True)
class Sample:
    """Values of a layer at the same random positions, a few in every image.

    Attributes:
        source: what it reads in the repaired graph, float32 [images, positions, features].
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
    rng: np.random.Generator,
) -> Sample:
    """Look at every image; the arguments are batches of [N, C, *spatial], in the same order.

    The end of the tail may be cropped at its far sides against the output.
    """
    images = [item for batch in source for item in batch]
    made, ended, added = (
        [_squarable(item) for batch in batches for item in batch]
        for batches in (output, end, skip or [])
    )
    whole, cropped = made[0].shape[1:], ended[0].shape[1:]
    room = int(np.prod(cropped))
    features = images[0].shape[0] * int(np.prod(layout.kernel))
    count = max(1, min(int(rows_for(features) / len(images)), room))
    source_rows = np.empty((len(images), count, features), np.float32)
    rest = []
    for index, image in enumerate(images):
        inside = np.sort(rng.choice(room, count, replace=False))
        places = inside
        if whole != cropped:  # positions in the crop, counted in the layer's own output
            places = np.ravel_multi_index(np.unravel_index(inside, cropped), whole)
        source_rows[index] = columns(image, layout.taps(places)).reshape(count, -1)
        seen = made[index][(slice(None), *map(slice, cropped))].reshape(len(made[index]), -1)
        statistics = seen.mean(1)[None], seen.std(1)[None]
        at_end = _at(ended[index], inside)
        at_skip = np.zeros((1, 1), np.float32)
        if added:
            wide = np.broadcast_to(added[index], (len(added[index]), *cropped))
            at_skip = _at(wide, inside)
        rest.append((seen[:, inside].T, at_end, at_skip, *statistics))
    stacked = [np.stack(part) for part in zip(*rest, strict=True)]
    return Sample(source_rows, *stacked)


def rows_for(features: int) -> float:
    """Positions over all images to which a layer with so many inputs times taps is fitted, at most.

    They are fewer for wide layers, so that all are fitted in about the same time: whichever side of
    the matrix is shorter, `solve.regression` makes a product of that side's length.
    """
    tall = _PRODUCTS / features**2
    affordable = tall if tall >= features else (_PRODUCTS / features) ** 0.5
    return min(_ROWS, _NUMBERS / features, affordable)


def _squarable(values: np.ndarray) -> np.ndarray:
    """The values in a type in which their squares do not overflow."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _at(value: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Channels of [C, *spatial] at flat positions, [P, C]."""
    return value.reshape(len(value), -1)[:, places].T
