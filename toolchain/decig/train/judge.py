"""Judging students on images that training never sees."""

from collections.abc import Sequence

import numpy as np
import onnx

from decig.data.feeds import Feeds, output_image
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.device.run.numbers import run_to_numbers
from decig.quality.metrics import ssim


class Judge:
    """Held-out inputs with the teacher's pictures of them."""

    def __init__(
        self, teacher: onnx.ModelProto, inputs: Sequence[Feeds], pixels: PixelFormat
    ) -> None:
        """Let the teacher paint the inputs.

        Raises:
            BadInputError: the inputs do not fit the graph, or it computes NaN or infinity from
                them.
        """
        self._inputs, self._pixels = inputs, pixels
        self._expected = self._paint(teacher)

    def ssim(self, proto: onnx.ModelProto) -> float:
        """Mean SSIM of a graph's pictures to the teacher's."""
        return float(np.mean(ssim(self._paint(proto), self._expected)))

    def _paint(self, proto: onnx.ModelProto) -> np.ndarray:
        wanted = [output_image(proto).name]
        outputs = run_to_numbers(Device.for_work(), proto, self._inputs, wanted)
        return self._pixels.to_unit(outputs[0])


class Looks:
    """Says when a stretch of training is due for another look, so that looks stay few."""

    def __init__(self, count: int = 20) -> None:
        """Spread `count` looks evenly over the progress of training."""
        self._apart, self._next = 1 / count, 0.0

    def due(self, progress: float) -> bool:
        """Whether this progress calls for a look; each look is due once."""
        if progress < self._next:
            return False
        self._next = progress + self._apart
        return True
