"""LPIPS by a network that the user gives.

R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR
2018), equation 1. Two kinds of file give it: one that takes two pictures and returns their
distance, as an export of the package `lpips` does; and NVIDIA's `vgg16.pt` for StyleGAN2-ADA, which
returns for one picture its weighted features, of which the squared distance is LPIPS.
"""

from pathlib import Path
from typing import Any

import numpy as np

from decig.deploy.judges.features import digest
from decig.deploy.judges.network_file import as_bytes, grey, open_network
from decig.errors import BadInputError

_FEATURES = {"return_lpips": True, "resize_images": False}
"""Asks NVIDIA's network for the weighted features, of the picture as large as it is."""


class Lpips:
    """Distance of two pictures by a network from a file."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        """Open the network and try it.

        Args:
            path: of the file.
            size: height and width of the pictures to judge.

        Raises:
            BadInputError: the file is no network that gives the distance of two pictures; says why.
        """
        self._network = open_network(path, "--lpips")
        self._features = _FEATURES.keys() <= self._network.options
        wanted = 1 if self._features else 2
        if self._network.pictures != wanted:
            raise BadInputError(
                f"{path}: takes {self._network.pictures} pictures; LPIPS takes two, or one and "
                "gives its weighted features when asked to return_lpips"
            )
        self._sha256 = digest(path)
        blank = grey(self._network.size or size)
        self._distance(blank, blank)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        """Return the distance of two pictures float H,W,3 between 0 and 1, rounded to bytes.

        It is NaN where values are no numbers.
        """
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return float("nan")
        one, other = (as_bytes(picture, self._network.size) for picture in (a, b))
        return self._distance(one, other)

    def _distance(self, one: np.ndarray, other: np.ndarray) -> float:
        one, other = (each.astype(np.float32) for each in (one, other))
        if self._features:
            a, b = (self._network(each, **_FEATURES).astype(np.float64) for each in (one, other))
            return float(np.square(a - b).sum())
        found = self._network(one, other)
        if found.size != 1:
            shown = "x".join(map(str, found.shape))
            raise BadInputError(
                f"{self._network.path}: gives {shown} for two pictures; a distance is one number"
            )
        return float(found.reshape(()))

    def __str__(self) -> str:
        """Describe the protocol to people, in a line."""
        size = self._network.size
        scaling = "at the size of the model" if size is None else f"scaled to {size[0]}x{size[1]}"
        return (
            f"mean over pairs of pictures, {scaling}, rounded to bytes, by "
            f"{self._network.path.name}; to be compared with figures by the same file only"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the protocol as JSON values."""
        size = self._network.size
        return {
            "network": self._network.path.name,
            "sha256": self._sha256,
            "size": size and list(size),
            "protocol": str(self),
        }
