"""Quality on images that training never sees."""

from collections.abc import Sequence

import numpy as np
import onnx

from decig.data.feeds import Feeds, output_image
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.quality.metrics import ssim

_LOOKS = 20
"""How often a stage looks at the held-out images."""


class HeldOut:
    """Held-out inputs with the teacher's pictures."""

    def __init__(
        self, teacher: onnx.ModelProto, inputs: Sequence[Feeds], pixels: PixelFormat
    ) -> None:
        """Let the teacher paint the inputs."""
        self._inputs, self._pixels = inputs, pixels
        self._expected = self._paint(teacher)
        self._next = 0.0

    def due(self, share: float) -> bool:
        """Whether progress `share` calls for another look; each look is due once."""
        if share < self._next:
            return False
        self._next = share + 1 / _LOOKS
        return True

    def ssim_of_graph(self, proto: onnx.ModelProto) -> float:
        """Mean SSIM of a graph's pictures to the teacher's."""
        return float(np.mean(ssim(self._paint(proto), self._expected)))

    def _paint(self, proto: onnx.ModelProto) -> np.ndarray:
        wanted = [output_image(proto).name]
        return self._pixels.to_unit(Device.of().run_over(proto, self._inputs, wanted)[0])
