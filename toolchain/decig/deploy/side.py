"""One of two models that are compared: run on pictures, and timed."""

from collections.abc import Callable
from functools import partial

import numpy as np

from decig.data.feeds import Feeds, picture_output
from decig.data.inputs import Picture, Pictures, seeded_feeds
from decig.deploy.pixel_io import noise_pixels, painter
from decig.device.run.device import Device
from decig.device.run.runs import run_session
from decig.source.source import Source


class Side:
    """One of the two models, ready to run.

    Attributes:
        source: the model.
        pictures: the images that it is fed.
    """

    def __init__(self, source: Source, pictures: Pictures, device: Device) -> None:
        """Open the model on a device."""
        self.source, self.pictures = source, pictures
        self._session = device.open(source.model.proto)
        self._painting = self._session
        if device.unbound != device:
            self._painting = device.unbound.open(source.model.proto)
        self._device = device
        self._shown = picture_output(source.model.proto)

    def timed(self, from_bytes: bool) -> Callable[[], object]:
        """Return one run on noise, for timing; `from_bytes` adds pre- and postprocessing."""
        if from_bytes:
            return partial(painter(self.source, self._run), noise_pixels(self.source))
        feeds = seeded_feeds(self.source.model.proto, self.source.pixels)[0]
        return self._device.prepare(self._session, feeds)

    def show(self, pixels: np.ndarray) -> np.ndarray:
        """Turn an input into an image to look at."""
        labels = self.source.require_pixels().labels
        return pixels if labels is None else labels.show(pixels)

    def paint(self, picture: Picture) -> np.ndarray:
        """Return the model's picture of an input, float32 1,H,W,3 between 0 and 1."""
        output = self._run(self.pictures.feed(picture).feeds)[self._shown]
        return self.source.require_pixels().to_unit(output)

    def _run(self, feeds: Feeds) -> list[np.ndarray]:
        return run_session(self._painting, feeds)
