"""Quality on images that training never sees."""

import numpy as np
import onnx

from decig.data.pixels import PixelFormat
from decig.device.session import DeviceOptions, open_session
from decig.graph.model import input_info
from decig.quality.metrics import ssim

_LOOKS = 20
"""How often a stage looks at the held-out images."""


class HeldOut:
    """Held-out inputs with the teacher's pictures."""

    def __init__(self, teacher: onnx.ModelProto, inputs: np.ndarray, pixels: PixelFormat) -> None:
        """Let the teacher paint `inputs` (N, and the model's input shape without its batch)."""
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
        name = input_info(proto)[0].name
        session = open_session(proto, DeviceOptions())
        outputs = [session.run(None, {name: image[None]})[0] for image in self._inputs]
        return self._pixels.to_unit(np.concatenate(outputs))
