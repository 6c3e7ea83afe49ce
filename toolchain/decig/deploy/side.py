"""One of two models that are compared: run on pictures, and timed."""

from collections.abc import Callable
from functools import partial

import numpy as np

from decig.data.inputs import Picture, Pictures, seeded_feeds
from decig.data.ports import picture_output
from decig.deploy.pixel_io import noise_pixels, painter
from decig.device.run.device import Device
from decig.device.run.numbers import are_numbers, first_without_numbers
from decig.device.run.runs import run_session
from decig.graph.draws import draws, pin
from decig.quality.plausible import PictureValues
from decig.source.plausible import implausible
from decig.source.source import Source


class Side:
    """One of the two models, ready to run.

    Attributes:
        source: the model.
        pictures: the images that it is fed.
        values: what its pictures have held so far.
        spoilt: the first node that computed NaN or infinity; empty as long as there was none.
    """

    def __init__(self, source: Source, pictures: Pictures, device: Device) -> None:
        """Open the model on a device."""
        self.source, self.pictures = source, pictures
        self._session = device.open(source.model.proto)
        self._painting = self._session
        still = pin(source.model.proto, draws(source.model.proto))
        if device.untimed != device or still is not source.model.proto:
            self._painting = device.untimed.open(still)
        self._device = device
        self.spoilt = ""
        self._shown = picture_output(source.model.proto, source.pixels)
        self.values = PictureValues()

    def fault(self, whose: str) -> str | None:
        """Say what is wrong with the pictures painted so far; None if nothing is."""
        return implausible(self.values, self.source.inner_pixels, whose)

    def timed(self, from_bytes: bool) -> Callable[[], object]:
        """Return one run on noise, for timing; `from_bytes` adds pre- and postprocessing."""
        if from_bytes:
            session = self._device.unbound.open(self.source.model.proto)  # with its own draws
            paint = painter(self.source, partial(run_session, session))
            return partial(paint, noise_pixels(self.source))
        feeds = seeded_feeds(self.source.model.proto, self.source.pixels)[0]
        return self._device.prepare(self._session, feeds)

    def show(self, pixels: np.ndarray) -> np.ndarray:
        """Turn an input into an image to look at."""
        labels = self.source.require_pixels().labels
        return pixels if labels is None else labels.show(pixels)

    def paint(self, picture: Picture) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the model's picture of an input, N,H,W,3 between 0 and 1, and all its outputs."""
        feeds, pixels = self.pictures.feed(picture).feeds, self.source.require_pixels()
        outputs = run_session(self._painting, feeds)
        if not self.spoilt and not are_numbers(outputs):
            self.spoilt = first_without_numbers(self.source.model.proto, feeds)
        self.values.add(pixels.scaled(outputs[self._shown]))
        return pixels.to_unit(outputs[self._shown]), outputs
