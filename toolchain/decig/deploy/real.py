"""How near the pictures of a candidate and of its reference are to real ones."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from decig.data.crops import fit
from decig.data.images import UnreadableImageError
from decig.data.pairs import Targets
from decig.data.two_sided import tell_of_two_sides
from decig.deploy.judges.panel import GIVEN, OWN, Panel
from decig.quality.distributions import Distance
from decig.quality.features import Features, FeatureSet
from decig.quality.means import PairFigures, PairMeans
from decig.quality.protocol import SetDistance, compare_sets

_log = logging.getLogger(__name__)
_MODELS = ("reference", "candidate")

Sides = Mapping[str, np.ndarray]
"""Pictures by the name of the model that painted them: reference, candidate."""


@dataclass(frozen=True)
class Real:
    """Figures of the pictures of two models to real ones; dictionaries have the models as keys.

    Attributes:
        distances: of each model's pictures, as a whole, to the real ones; by the name of the
            features (`decig.deploy.judges.panel`), then by the model.
        pairs: of each picture to the real one of its input; None where the inputs have none.
        matched: number of inputs that have a real picture of their name.
        inputs: number of inputs.
        skipped: real pictures that could not be read.
    """

    distances: dict[str, dict[str, SetDistance]]
    pairs: dict[str, PairFigures] | None
    matched: int
    inputs: int
    skipped: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the object `real` of `decig check --json`."""
        names = (*PairFigures.__annotations__, *Distance.__annotations__, "protocol")
        figures: dict[str, Any] = dict.fromkeys(names)
        pairs = {name: asdict(each) for name, each in (self.pairs or {}).items()}
        figures |= _by_figure(pairs) | self._distances(OWN)
        found = figures | {"skipped": self.skipped}
        return found | ({GIVEN: self._distances(GIVEN)} if GIVEN in self.distances else {})

    def _distances(self, features: str) -> dict[str, Any]:
        """The distances by some features, and their protocol; empty without such features."""
        found = self.distances.get(features)
        if found is None:
            return {}
        figures = _by_figure({name: each.figures for name, each in found.items()})
        return figures | {"protocol": found["candidate"].protocol.to_dict()}


def _by_figure(of_models: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Turn the figures of each model into the models of each figure."""
    found: dict[str, dict[str, Any]] = {}
    for model, figures in of_models.items():
        for key, value in figures.items():
            found.setdefault(key, {})[model] = value
    return found


class RealPictures:
    """Compares pictures with a folder of real ones, which are read one at a time.

    A real picture belongs to the input whose name it has (`decig.data.pairs.Targets`). Where every
    input has one, SSIM, MS-SSIM and PSNR are taken as well; where not, the folder is a set of
    pictures that the painted ones should be like as a whole. Real pictures are fitted to the size
    of the painted ones as inputs are fitted to a model: resized until they cover it, then their
    centre is cut out.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], panel: Panel) -> None:
        """List the folder.

        Args:
            folder: the real pictures.
            inputs: names of all inputs (`decig.data.images.name_in`).
            panel: the networks that judge.

        Raises:
            BadInputError: the folder is missing or holds no image.
        """
        self._targets = Targets(folder)
        found = [(name, file) for name in inputs if (file := self._targets.of(name))]
        wanted = Counter(file for _, file in found)
        self._of = {name: file for name, file in found if wanted[file] == 1}
        doubtful = [n for n in inputs if not self._targets.of(n) and self._targets.several(n)]
        if doubtful:
            _log.warning(
                "%s: several pictures could belong to %s (%d such inputs): they count as pictures "
                "of no input",
                folder,
                doubtful[0],
                len(doubtful),
            )
        self._inputs = len(inputs)
        self._paired = len(self._of) == len(inputs)
        self._sets = {name: _Sets(network) for name, network in panel.features.items()}
        self._means = {name: PairMeans(panel.lpips) for name in _MODELS}
        self._names: list[str] = []
        self._size = (0, 0)

    def add(self, name: str, painted: Sides) -> np.ndarray | None:
        """Take in what both models made of an input: 1,H,W,3 between 0 and 1.

        Returns:
            The real picture H,W,3 of the input; None where inputs and real pictures make no pairs,
            or it cannot be read.
        """
        if not self._names:
            size = painted[_MODELS[0]].shape[1], painted[_MODELS[0]].shape[2]
            tell_of_two_sides(self._targets.folder, size)
        self._names.append(name)
        for model, unit in painted.items():
            self._size = unit.shape[1], unit.shape[2]
            for sets in self._sets.values():
                sets.painted[model].add(unit[0])
        real = self._read(self._of[name]) if self._paired else None
        if real is not None:
            for model, unit in painted.items():
                self._means[model].add(real[None], unit[:1])
        return real

    def _read(self, file: Path) -> np.ndarray | None:
        """Read a real picture as H,W,3 between 0 and 1; None, and a warning, if it cannot be."""
        try:
            pixels = self._targets.folder.read(file)
        except UnreadableImageError as error:
            self._targets.folder.skip(file, error)
            return None
        return fit(pixels, *self._size).astype(np.float32) / 255

    def result(self) -> Real:
        """Read the real pictures and return all figures; BadInputError if none is readable."""
        files = []
        for file, pixels in self._targets.folder:
            real = fit(pixels, *self._size).astype(np.float32) / 255
            for sets in self._sets.values():
                sets.real.add(real)
            files.append(file)
        where = {file: place for place, file in enumerate(files)}
        pairs = [
            (place, where[self._of[name]])
            for place, name in enumerate(self._names)
            if self._of.get(name) in where
        ]
        means = {name: each.result() for name, each in self._means.items() if len(each)}
        return Real(
            distances={name: sets.result(pairs) for name, sets in self._sets.items()},
            pairs=means or None,
            matched=len(self._of),
            inputs=self._inputs,
            skipped=[str(file) for file in self._targets.folder.skipped],
        )


class _Sets:
    """Features by one network: of the real pictures, and of those that each model painted."""

    def __init__(self, network: Features) -> None:
        self.real = FeatureSet(network)
        self.painted = {name: FeatureSet(network) for name in _MODELS}

    def result(self, pairs: Sequence[tuple[int, int]]) -> dict[str, SetDistance]:
        """Return how far each model's pictures are from the real ones."""
        return {name: compare_sets(each, self.real, pairs) for name, each in self.painted.items()}
