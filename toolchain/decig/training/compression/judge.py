"""Judging students on images that training never sees."""

import copy
from collections.abc import Sequence

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.data.pixels import PixelFormat
from decig.data.ports import output_image
from decig.device.run.device import Device
from decig.device.run.numbers import run_to_numbers
from decig.quality.metrics import Likeness, ssim
from decig.source.plausible import require_plausible


class Judge:
    """Held-out inputs with the teacher's pictures of them.

    Attributes:
        expected: those pictures, float32 N,H,W,3 between 0 and 1.
    """

    def __init__(
        self, teacher: onnx.ModelProto, inputs: Sequence[Feeds], pixels: PixelFormat
    ) -> None:
        """Let the teacher paint the inputs.

        Raises:
            BadInputError: the inputs do not fit the graph, it computes NaN or infinity from them,
                or its pictures show that a range is stated wrongly.
        """
        self._inputs, self._pixels = inputs, pixels
        painted = self._run(teacher)
        require_plausible([painted], pixels, "the model's")
        self.expected = pixels.to_unit(painted)

    def ssim(self, proto: onnx.ModelProto) -> float:
        """Mean SSIM of a graph's pictures to the teacher's."""
        return ssim(self.pictures(proto), self.expected)

    def likeness(self, proto: onnx.ModelProto) -> Likeness:
        """How alike a graph's pictures and the teacher's are."""
        return Likeness.of(self.pictures(proto), self.expected)

    def pictures(self, proto: onnx.ModelProto) -> np.ndarray:
        """Return a graph's pictures of the inputs, in the form of `expected`."""
        return self._pixels.to_unit(self._run(proto))

    def first(self, count: int) -> "Judge":
        """Return one that looks at the first inputs only, so many at most; nothing is painted.

        An input may be a batch, with as many pictures.
        """
        found = copy.copy(self)
        pictures = len(self.expected) // len(self._inputs)
        found._inputs, found.expected = self._inputs[:count], self.expected[: count * pictures]
        return found

    def _run(self, proto: onnx.ModelProto) -> np.ndarray:
        wanted = [output_image(proto, self._pixels).name]
        return run_to_numbers(Device.for_work(), proto, self._inputs, wanted)[0]
