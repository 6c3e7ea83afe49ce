"""Quality over latency: which results no other one beats in both, and how two sides compare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from judge import Row


@dataclass(frozen=True)
class Measure:
    """How near pictures are to the teacher's.

    Attributes:
        name: of the figure.
        value: the figure as it is written in tables, from the figures of `Row.similarity`.
        distance: of the pictures, from the same; 0 for those of the teacher.
        upwards: whether a greater figure is a better one.
    """

    name: str
    value: Callable[[dict[str, float]], float]
    distance: Callable[[dict[str, float]], float]
    upwards: bool = True


SSIM = Measure("SSIM", lambda alike: alike["ssim"], lambda alike: 1 - alike["ssim"])
PSNR = Measure(
    "PSNR dB",
    lambda alike: alike["psnr_db"],
    # Root mean square error as a share of the range.
    lambda alike: float(10 ** (-alike["psnr_db"] / 20)),
)
KID = Measure(
    "KID x1000",
    lambda alike: 1000 * alike["kid"],
    # The estimate of a distance near 0 may be below it.
    lambda alike: max(0.0, alike["kid"]),
    upwards=False,
)
MEASURES = (SSIM, PSNR, KID)


@dataclass(frozen=True)
class Point:
    """A result by its latency and by how far its pictures are from the teacher's.

    Attributes:
        name: of the result.
        latency: in microseconds.
        distance: by a `Measure`.
    """

    name: str
    latency: float
    distance: float

    @classmethod
    def of(cls, row: Row, measure: Measure) -> "Point":
        """A judged result; the teacher's pictures are at a distance of 0."""
        name = f"{row.method} {row.target}".strip()
        where = "" if row.runtime is None else f" on {row.runtime}"
        distance = measure.distance(row.similarity) if row.similarity else 0.0
        return cls(name + where, row.latency.median, distance)


def front_of(points: Sequence[Point]) -> list[Point]:
    """Those points that no other one beats in both, the nearest to the teacher's pictures first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda each: (each.distance, each.latency)):
        if not front or point.latency < front[-1].latency:
            front.append(point)
    return front


def faster_at_equal_pictures(own: Point, others: Sequence[Point]) -> float:
    """How many times as long the others would take for pictures as good as those of a result.

    The logarithm of the latency is interpolated over the distance between the points of the
    others' front, the teacher among them; so at most the speed over the teacher can come out.
    Where the fastest of the others has better pictures already, its latency counts.

    Args:
        own: the result.
        others: results of the other side, and the teacher.
    """
    front = front_of(others)
    distances = [point.distance for point in front]
    logarithms = np.log([point.latency for point in front])
    equal = np.exp(np.interp(own.distance, distances, logarithms))
    return float(equal / own.latency)


def neighbours(own: Point, others: Sequence[Point]) -> list[Point]:
    """The points of the others' front that a result is compared with: one or two."""
    front = front_of(others)
    better = [point for point in front if point.distance <= own.distance]
    worse = [point for point in front if point.distance > own.distance]
    return [*better[-1:], *worse[:1]]
