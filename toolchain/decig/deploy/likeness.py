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
from decig.deploy.judges.lpips import Lpips
from decig.deploy.judges.panel import GIVEN, OWN, Panel
from decig.deploy.judges.segmenter import Segmentation
from decig.deploy.real import Real, RealPictures
from decig.deploy.side import Side
from decig.quality.distributions import Distance
from decig.quality.features import FeatureSet
from decig.quality.means import PairFigures, PairMeans
from decig.quality.metrics import colour, edge_difference
from decig.quality.protocol import SetDistance, compare_sets

GRID_ROWS = 6
"""Rows of the picture grid: the first images of the folder."""


@dataclass(frozen=True)
class Likeness:
    """Figures of the pictures; means are over the folder.

    Attributes:
        pairs: of each picture of the candidate to the reference's.
        colour: how colourful the pictures of each model are; see `decig.quality.metrics`.
        edges: difference of the gradients of their pictures.
        distances: of the candidate's pictures, as a whole, to the reference's; by the name of the
            features (`decig.deploy.judges.panel`).
        lpips: the network by which the LPIPS of pairs was taken; None where none was given.
        segmentation: of the pictures with the label maps that they show; None where no network
            was given that finds labels.
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
    distances: dict[str, SetDistance]
    lpips: Lpips | None
    segmentation: Segmentation | None
    real: Real | None
    images: int
    skipped: list[str]
    picture: str
    other_pictures: dict[str, dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as `decig check --json` shows them."""
        unknown = dict.fromkeys((*Distance.__annotations__, "protocol"))
        found = {
            **asdict(self.pairs),
            "colour": self.colour,
            "edges": self.edges,
            **(unknown | self._distance(OWN)),
            "images": self.images,
            "skipped": self.skipped,
            "picture": self.picture,
            "other_pictures": self.other_pictures,
        }
        if GIVEN in self.distances:
            found[GIVEN] = self._distance(GIVEN)
        for name, judged in (
            ("lpips_protocol", self.lpips),
            ("segmentation", self.segmentation),
            ("real", self.real),
        ):
            if judged is not None:
                found[name] = judged.to_dict()
        return found

    def _distance(self, features: str) -> dict[str, Any]:
        """The distance by some features, and its protocol; empty without such features."""
        found = self.distances.get(features)
        return {} if found is None else {**found.figures, "protocol": found.protocol.to_dict()}


class _Comparison:
    """Takes in the pictures of both models one by one, and keeps figures and features only."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._means = PairMeans(panel.lpips)
        self._figures: list[tuple[float, float, float]] = []
        self._sets = {
            name: (FeatureSet(network), FeatureSet(network))
            for name, network in panel.features.items()
        }

    def add(self, theirs: np.ndarray, ours: np.ndarray) -> None:
        """Take in the reference's and the candidate's picture of an input."""
        self._means.add(theirs, ours)
        self._figures.append((colour(theirs), colour(ours), edge_difference(theirs, ours)))
        for sets in self._sets.values():
            for taken, unit in zip(sets, (ours, theirs), strict=True):
                taken.add(unit[0])

    def add_labels(self, label_map: np.ndarray | None, painted: dict[str, np.ndarray]) -> None:
        """Take in who made which picture H,W,3 of a label map, where labels are looked for."""
        if self._panel.segmenter is not None and label_map is not None:
            for who, picture in painted.items():
                self._panel.segmenter.add(who, label_map, picture)

    def result(self, reference: Side, real: Real | None, others: dict[str, Any]) -> Likeness:
        """Return the figures of all pictures so far."""
        count = len(self._figures)
        means = np.mean(self._figures, axis=0).tolist()
        paired, segmenter = [(place, place) for place in range(count)], self._panel.segmenter
        return Likeness(
            pairs=self._means.result(),
            colour={"reference": means[0], "candidate": means[1]},
            edges=means[2],
            distances={name: compare_sets(*two, paired) for name, two in self._sets.items()},
            lpips=self._panel.lpips,
            segmentation=None if segmenter is None else segmenter.result(),
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
    panel: Panel,
    targets: Path | None = None,
    grid: Path | None = None,
) -> Likeness:
    """Let both models paint every image of the reference's folder, and compare the pictures.

    Args:
        reference: the model that should be replaced.
        candidate: the model to judge.
        panel: the networks that judge pictures.
        targets: folder of real pictures.
        grid: file for a grid of pictures: inputs, those of the reference, those of the candidate.

    Raises:
        BadInputError: no image is readable, or no target.
    """
    real = None
    if targets is not None:
        real = RealPictures(targets, reference.pictures.listed, panel)
    rows: list[tuple[np.ndarray, ...]] = []
    seen, others = _Comparison(panel), beside(reference.source)
    for picture in reference.pictures:
        (ours, outputs), (theirs, expected) = candidate.paint(picture), reference.paint(picture)
        for other in others:
            other.add(expected, outputs)
        seen.add(theirs, ours)
        painted = {"reference": theirs, "candidate": ours}
        pictures = {who: unit[0] for who, unit in painted.items()}
        if real is not None and (wanted := real.add(picture.name, painted)) is not None:
            pictures["real"] = wanted
        seen.add_labels(picture.pixels, pictures)
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
