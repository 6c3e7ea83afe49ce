"""The pictures that a model makes beside its picture: intermediate results, masks, other scales."""

from dataclasses import replace
from typing import Any

import numpy as np

from decig.data.pixels import PixelFormat
from decig.data.ports import other_pictures
from decig.graph.model import output_info
from decig.quality.metrics import psnr, ssim
from decig.quality.plausible import PictureValues
from decig.source.source import Source

_SMALLEST = 11
"""Side in pixels below which SSIM has no window."""


class Beside:
    """Compares one such output of two models, picture by picture."""

    def __init__(self, name: str, place: int, pixels: PixelFormat) -> None:
        """Start without any picture.

        Args:
            name: of the output in the reference.
            place: of the output among those of either model.
            pixels: the pixel format of the models.
        """
        self.name, self._place, self._pixels = name, place, pixels
        self._stated: list[tuple[float, float]] = []
        self._own: list[tuple[float, float]] = []
        self._values = PictureValues()
        self._low, self._high = np.inf, -np.inf

    def add(self, reference: list[np.ndarray], candidate: list[np.ndarray]) -> None:
        """Compare what both models made of one image: all of their outputs."""
        theirs, ours = reference[self._place], candidate[self._place]
        self._values.add(self._pixels.scaled(theirs))
        own = replace(self._pixels, output_range=self._range(theirs))
        for pixels, figures in ((self._pixels, self._stated), (own, self._own)):
            pair = pixels.to_unit(theirs), pixels.to_unit(ours)
            figures.append((ssim(*pair), psnr(*pair)))

    def _range(self, values: np.ndarray) -> tuple[float, float]:
        """Least and greatest of the values that are numbers; any two where they do not differ."""
        numbers = values[np.isfinite(values)].astype(np.float64)
        low, high = (
            float(end) for end in (numbers.min(initial=np.inf), numbers.max(initial=-np.inf))
        )
        self._low, self._high = min(self._low, low), max(self._high, high)
        if low < high:
            return low, high
        return (low, np.nextafter(low, np.inf) + 1.0) if low == high else (0.0, 1.0)

    def figures(self) -> dict[str, Any]:
        """Return SSIM and PSNR, as means over the pictures.

        They are taken in the range that is stated for the picture or, where this output plainly
        has another one, in that of the reference's values.
        """
        fits = self._values.fault() is None
        alike, decibels = np.mean(self._stated if fits else self._own, axis=0).tolist()
        found = {"ssim": alike, "psnr_db": decibels}
        return found if fits else found | {"range": [self._low, self._high]}


def beside(reference: Source) -> list[Beside]:
    """Return the outputs of a model that are shaped like pictures, but for the picture."""
    proto, pixels = reference.model.proto, reference.inner_pixels
    places = [info.name for info in output_info(proto)]
    others = other_pictures(proto, pixels, _SMALLEST)
    return [Beside(info.name, places.index(info.name), pixels) for info in others]
