"""How alike the pictures of two models are, and how near to real ones."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from decig.data.crops import fit
from decig.data.inputs import Picture
from decig.data.sheet import write_sheet
from decig.deploy.beside import beside
from decig.deploy.real import Real, RealPictures
from decig.deploy.side import Side
from decig.quality.distributions import Distance
from decig.quality.features import FeatureNetwork, FeatureSet
from decig.quality.means import PairFigures, PairMeans
from decig.quality.metrics import colour, edge_difference
from decig.quality.protocol import Protocol, compare_sets

GRID_ROWS = 6
"""Rows of the picture grid: the first images of the folder."""


@dataclass(frozen=True)
class Likeness:
    """Figures of the pictures; means are over the folder.

    Attributes:
        pairs: of each picture of the candidate to the reference's.
        colour: how colourful the pictures of each model are; see `decig.quality.metrics`.
        edges: difference of the gradients of their pictures.
        distance: of the candidate's pictures, as a whole, to the reference's; None where the
            network for it is not installed.
        protocol: how that distance was taken.
        real: of the pictures of both models to real ones; None where none were given.
        images: number of pictures compared.
        skipped: files that could not be read.
        picture: name of the reference's output that is the picture.
        other_pictures: SSIM and PSNR of its other outputs that are shaped like pictures, by name;
            `range` are the values of black and white where these are not the stated ones.
    """

    pairs: PairFigures
    colour: dict[str, float]
    edges: float
    distance: Distance | None
    protocol: Protocol | None
    real: Real | None
    images: int
    skipped: list[str]
    picture: str
    other_pictures: dict[str, dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as `decig check --json` shows them."""
        unknown = dict.fromkeys(Distance.__annotations__)
        found = {
            **asdict(self.pairs),
            "colour": self.colour,
            "edges": self.edges,
            **(unknown if self.distance is None else asdict(self.distance)),
            "protocol": None if self.protocol is None else asdict(self.protocol),
            "images": self.images,
            "skipped": self.skipped,
            "picture": self.picture,
            "other_pictures": self.other_pictures,
        }
        return found if self.real is None else found | {"real": self.real.to_dict()}


class _Comparison:
    """Takes in the pictures of both models one by one, and keeps figures and features only."""

    def __init__(self, network: FeatureNetwork | None) -> None:
        self._means = PairMeans()
        self._figures: list[tuple[float, float, float]] = []
        self._sets = None if network is None else (FeatureSet(network), FeatureSet(network))

    def add(self, theirs: np.ndarray, ours: np.ndarray) -> None:
        """Take in the reference's and the candidate's picture of an input."""
        self._means.add(theirs, ours)
        self._figures.append((colour(theirs), colour(ours), edge_difference(theirs, ours)))
        for taken, unit in zip(self._sets or (), (ours, theirs), strict=False):
            taken.add(unit[0])

    def result(self, reference: Side, real: Real | None, others: dict[str, Any]) -> Likeness:
        """Return the figures of all pictures so far."""
        count = len(self._figures)
        means = np.mean(self._figures, axis=0).tolist()
        found: tuple[Distance | None, Protocol | None] = (None, None)
        if self._sets is not None:
            found = compare_sets(*self._sets, [(place, place) for place in range(count)])
        return Likeness(
            pairs=self._means.result(),
            colour={"reference": means[0], "candidate": means[1]},
            edges=means[2],
            distance=found[0],
            protocol=found[1],
            real=real,
            images=count,
            skipped=[str(path) for path in reference.pictures.skipped],
            picture=reference.source.picture().name,
            other_pictures=others,
        )


def compare_pictures(
    reference: Side,
    candidate: Side,
    *,
    network: FeatureNetwork | None = None,
    targets: Path | None = None,
    grid: Path | None = None,
) -> Likeness:
    """Let both models paint every image of the reference's folder, and compare the pictures.

    Args:
        reference: the model that should be replaced.
        candidate: the model to judge.
        network: gives the features of pictures; None leaves out what needs them.
        targets: folder of real pictures, which needs the network.
        grid: file for a grid of pictures: inputs, those of the reference, those of the candidate.

    Raises:
        BadInputError: no image is readable, or no target.
    """
    real = None
    if targets is not None and network is not None:
        real = RealPictures(targets, reference.pictures.listed, network)
    rows: list[tuple[np.ndarray, ...]] = []
    seen, others = _Comparison(network), beside(reference.source)
    for picture in reference.pictures:
        (ours, outputs), (theirs, expected) = candidate.paint(picture), reference.paint(picture)
        for other in others:
            other.add(expected, outputs)
        seen.add(theirs, ours)
        if real is not None:
            real.add(picture.name, {"reference": theirs, "candidate": ours})
        if len(rows) < GRID_ROWS:
            rows.append(_row(reference, picture, (theirs, ours)))
    if grid is not None:
        titles = ("input", "reference", "candidate")[-len(rows[0]) :]
        write_sheet(dict(zip(titles, zip(*rows, strict=True), strict=True)), grid)
    figures = {other.name: other.figures() for other in others}
    return seen.result(reference, None if real is None else real.result(), figures)


def _row(side: Side, picture: Picture, units: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return a row of the grid, uint8 H,W,3 each: the input, where there is one, and pictures."""
    painted = [np.round(np.nan_to_num(unit[0]) * 255).astype(np.uint8) for unit in units]
    given = [] if picture.pixels is None else [side.show(picture.pixels)]
    return (*(fit(image, *painted[0].shape[:2]) for image in given), *painted)
