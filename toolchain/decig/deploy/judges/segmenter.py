"""Labels that a network of the user's finds in painted pictures, against the label maps they show.

The figures are those of `decig.quality.agreement`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from decig.data.labels import Labels
from decig.deploy.judges.features import digest
from decig.deploy.judges.network_file import as_bytes, grey, open_network
from decig.errors import BadInputError
from decig.quality.agreement import NOTHING, Agreement, LabelCounts


@dataclass(frozen=True)
class Segmentation:
    """How well the labels found in pictures agree with the label maps that these show.

    Attributes:
        agreement: by who made the pictures: reference, candidate, and real where there are real
            pictures of the label maps.
        protocol: how it was taken, for people.
        network: name of the network's file.
        sha256: digest of the file.
    """

    agreement: dict[str, Agreement]
    protocol: str
    network: str
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return the object `segmentation` of `decig check --json`."""
        return {
            "accuracy": {who: each.accuracy for who, each in self.agreement.items()},
            "mean_iou": {who: each.mean_iou for who, each in self.agreement.items()},
            "network": self.network,
            "sha256": self.sha256,
            "protocol": self.protocol,
        }


class Segmenter:
    """Finds labels in pictures, and counts where they are those of the label maps."""

    def __init__(self, path: Path, labels: Labels | None, size: tuple[int, int]) -> None:
        """Open the network and try it.

        Args:
            path: of the file.
            labels: what label maps look like; None where the models take none.
            size: height and width of the pictures to judge.

        Raises:
            BadInputError: the models take no label maps, or the file is no network that finds
                such labels in a picture; says why.
        """
        if labels is None:
            raise BadInputError(
                "--segmenter compares with the label maps that models are fed; these take none "
                "(--one-hot, --palette or [pixels.labels] of a recipe says otherwise)"
            )
        self._network, self._labels = open_network(path, "--segmenter"), labels
        self._sha256, self._pictures = digest(path), 0
        if self._network.pictures != 1:
            raise BadInputError(
                f"{path}: takes {self._network.pictures} pictures; a network of labels takes one"
            )
        self._counts: dict[str, LabelCounts] = {}
        self._find(grey(self._network.size or size))

    def add(self, who: str, label_map: np.ndarray, picture: np.ndarray) -> None:
        """Judge a picture.

        Args:
            who: made it.
            label_map: that it shows, clean, uint8 H,W,3 (`decig.data.labels.Labels`).
            picture: float H,W,3 between 0 and 1; where values are no numbers, all is a mistake.
        """
        hot = self._labels.to_one_hot(label_map[None])[0]
        wanted = np.where(hot.any(axis=-1), hot.argmax(axis=-1), NOTHING)
        found = np.full(wanted.shape, NOTHING)
        if np.isfinite(picture).all():
            found = _enlarged(self._find(as_bytes(picture, self._network.size)), wanted.shape)
        counts = self._counts.setdefault(who, LabelCounts(self._labels.count))
        counts.add(wanted, found)

    def _find(self, picture: np.ndarray) -> np.ndarray:
        """Return the number of the label at each place, h,w."""
        found, path = self._network(picture), self._network.path
        scores = found.dtype.kind == "f"
        if found.ndim == 4 and (scores or found.shape[1] == 1):
            if not scores:
                return np.asarray(found[0, 0])
            if found.shape[1] != self._labels.count:
                raise BadInputError(
                    f"{path}: tells {found.shape[1]} labels apart, but label maps have "
                    f"{self._labels.count}; give a network with those of the label maps, in their "
                    "order"
                )
            return np.asarray(found[0].argmax(axis=0))
        if found.ndim == 3 and not scores:
            return np.asarray(found[0])
        shown = "x".join(map(str, found.shape))
        raise BadInputError(
            f"{path}: gives {found.dtype} {shown} for a picture; wanted are scores 1xLABELSxHxW, "
            "or the numbers of labels 1xHxW"
        )

    def result(self) -> Segmentation:
        """Return the figures of all pictures so far."""
        size = self._network.size
        scaling = "at the size of the model" if size is None else f"scaled to {size[0]}x{size[1]}"
        protocol = (
            f"pictures {scaling}, rounded to bytes, labels by {self._network.path.name}, enlarged "
            f"without blending to the size of the label maps; mean IoU over labels that occur"
        )
        found = {who: counts.result() for who, counts in self._counts.items()}
        return Segmentation(found, protocol, self._network.path.name, self._sha256)


def _enlarged(found: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Bring the numbers of labels to the size H,W of a label map."""
    if found.shape == tuple(size):
        return found
    height, width = size
    image = Image.fromarray(found.astype(np.int32))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))
