"""How near the pictures of a candidate and of its reference are to real ones."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from decig.data.crops import fit
from decig.data.images import UnreadableImageError, read_image
from decig.data.pairs import Targets
from decig.quality.distributions import Distance
from decig.quality.features import FeatureNetwork, FeatureSet
from decig.quality.means import PairFigures, PairMeans
from decig.quality.protocol import Protocol, compare_sets

_log = logging.getLogger(__name__)

Sides = Mapping[str, np.ndarray]
"""Pictures by the name of the model that painted them: reference, candidate."""


@dataclass(frozen=True)
class Real:
    """Figures of the pictures of two models to real ones; dictionaries have the models as keys.

    Attributes:
        distance: of each model's pictures, as a whole, to the real ones.
        pairs: of each picture to the real one of its input; None where the inputs have none.
        protocol: how the distances were taken.
        matched: number of inputs that have a real picture of their name.
        inputs: number of inputs.
        skipped: real pictures that could not be read.
    """

    distance: dict[str, Distance]
    pairs: dict[str, PairFigures] | None
    protocol: Protocol
    matched: int
    inputs: int
    skipped: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the object `real` of `decig check --json`."""
        figures: dict[str, Any] = dict.fromkeys(PairFigures.__annotations__)
        for found in (self.pairs or {}, self.distance):
            for name, each in found.items():
                for key, value in asdict(each).items():
                    figures[key] = (figures.get(key) or {}) | {name: value}
        return figures | {"protocol": asdict(self.protocol), "skipped": self.skipped}


class RealPictures:
    """Compares pictures with a folder of real ones, which are read one at a time.

    A real picture belongs to the input whose name it has (`decig.data.pairs.Targets`). Where every
    input has one, SSIM, MS-SSIM and PSNR are taken as well; where not, the folder is a set of
    pictures that the painted ones should be like as a whole. Real pictures are fitted to the size
    of the painted ones as inputs are fitted to a model: resized until they cover it, then their
    centre is cut out.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], network: FeatureNetwork) -> None:
        """List the folder.

        Args:
            folder: the real pictures.
            inputs: names of all inputs (`decig.data.images.name_in`).
            network: gives the features.

        Raises:
            BadInputError: the folder is missing or holds no image.
        """
        self._targets = Targets(folder)
        found = [(name, file) for name in inputs if (file := self._targets.of(name))]
        wanted = Counter(file for _, file in found)
        self._of = {name: file for name, file in found if wanted[file] == 1}
        self._inputs = len(inputs)
        self._paired = len(self._of) == len(inputs)
        self._real = FeatureSet(network)
        self._sets = {name: FeatureSet(network) for name in ("reference", "candidate")}
        self._means = {name: PairMeans() for name in self._sets}
        self._names: list[str] = []
        self._size = (0, 0)

    def add(self, name: str, painted: Sides) -> None:
        """Take in what both models made of an input: 1,H,W,3 between 0 and 1."""
        self._names.append(name)
        for model, unit in painted.items():
            self._sets[model].add(unit[0])
            self._size = unit.shape[1], unit.shape[2]
        real = self._read(self._of[name]) if self._paired else None
        if real is not None:
            for model, unit in painted.items():
                self._means[model].add(real[None], unit[:1])

    def _read(self, file: Path) -> np.ndarray | None:
        """Read a real picture as H,W,3 between 0 and 1; None, and a warning, if it cannot be."""
        try:
            pixels = read_image(file)
        except UnreadableImageError as error:
            if file not in self._targets.folder.skipped:
                self._targets.folder.skipped.append(file)
                _log.warning("skipped %s", error)
            return None
        return fit(pixels, *self._size).astype(np.float32) / 255

    def result(self) -> Real:
        """Read the real pictures and return all figures; BadInputError if none is readable."""
        files = []
        for file, pixels in self._targets.folder:
            self._real.add(fit(pixels, *self._size).astype(np.float32) / 255)
            files.append(file)
        where = {file: place for place, file in enumerate(files)}
        pairs = [
            (place, where[self._of[name]])
            for place, name in enumerate(self._names)
            if self._of.get(name) in where
        ]
        found = {name: compare_sets(each, self._real, pairs) for name, each in self._sets.items()}
        means = {name: each.result() for name, each in self._means.items() if len(each)}
        return Real(
            distance={name: far for name, (far, _) in found.items()},
            pairs=means or None,
            protocol=found["candidate"][1],
            matched=len(self._of),
            inputs=self._inputs,
            skipped=[str(file) for file in self._targets.folder.skipped],
        )
