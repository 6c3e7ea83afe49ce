"""How well the labels that a network sees in pictures agree with the label maps they stand for.

P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
section 4.1: if a picture that was painted from a label map is good, a network that was trained to
label real pictures finds the labels of that map in it.
"""

from dataclasses import dataclass

import numpy as np

NOTHING = -1
"""In a label map: a pixel without a label, which is not judged."""


@dataclass(frozen=True)
class Agreement:
    """How well two sets of label maps agree.

    Attributes:
        accuracy: share of the judged pixels at which the labels are the same.
        mean_iou: intersection over union of the pixels of a label, as a mean over the labels that
            either side has.
    """

    accuracy: float
    mean_iou: float


class LabelCounts:
    """Counts, one pair of label maps after the other, which labels are found for which."""

    def __init__(self, labels: int) -> None:
        """Start without any map; `labels` is their number."""
        # The last column counts what is found and no label.
        self._counts = np.zeros((labels, labels + 1), np.int64)

    def add(self, wanted: np.ndarray, found: np.ndarray) -> None:
        """Count a pair.

        Args:
            wanted: the true labels, whole numbers H,W from 0, or `NOTHING`.
            found: those that were found, whole numbers H,W; others than labels are mistakes.
        """
        labels = len(self._counts)
        judged = wanted != NOTHING
        true, seen = wanted[judged].astype(np.int64), found[judged].astype(np.int64)
        seen = np.where((seen < 0) | (seen >= labels), labels, seen)
        places = np.bincount(true * (labels + 1) + seen, minlength=self._counts.size)
        self._counts += places.reshape(self._counts.shape)

    def result(self) -> Agreement:
        """Return the figures of all pairs together; NaN where no pixel was judged."""
        both = np.diag(self._counts[:, :-1]).astype(np.float64)
        either = self._counts.sum(axis=1) + self._counts[:, :-1].sum(axis=0) - both
        total = self._counts.sum()
        if not total:
            return Agreement(float("nan"), float("nan"))
        there = either > 0
        return Agreement(float(both.sum() / total), float((both[there] / either[there]).mean()))
