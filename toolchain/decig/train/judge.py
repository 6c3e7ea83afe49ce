"""Judging students on images that training never sees."""

from collections.abc import Sequence

import numpy as np
import onnx

from decig.data.feeds import Feeds, output_image
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.quality.metrics import Likeness, ssim


class Judge:
    """Held-out inputs with the teacher's pictures of them."""

    def __init__(
        self, teacher: onnx.ModelProto, inputs: Sequence[Feeds], pixels: PixelFormat
    ) -> None:
        """Let the teacher paint the inputs.

        Raises:
            BadInputError: the inputs do not fit the graph.
        """
        self._inputs, self._pixels = inputs, pixels
        self._expected = self._paint(teacher)

    def ssim(self, proto: onnx.ModelProto) -> float:
        """Mean SSIM of a graph's pictures to the teacher's."""
        return ssim(self._paint(proto), self._expected)

    def likeness(self, proto: onnx.ModelProto) -> Likeness:
        """How alike a graph's pictures and the teacher's are."""
        return Likeness.of(self._paint(proto), self._expected)

    def _paint(self, proto: onnx.ModelProto) -> np.ndarray:
        wanted = [output_image(proto).name]
        return self._pixels.to_unit(Device.of().run_over(proto, self._inputs, wanted)[0])
