import numpy as np
import pytest

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.quality.plausible import PictureValues
from decig.source.plausible import implausible, require_plausible

WRONG = PixelFormat((0, 1), (0, 255))


def test_the_flags_and_the_owner_are_named():
    outputs = [np.random.default_rng(0).uniform(0, 1, (2, 3, 16, 16)).astype(np.float32)]
    with pytest.raises(BadInputError, match="the reference's pictures") as caught:
        require_plausible(outputs, WRONG, "the reference's")
    assert "--output-range 0,255" in str(caught.value)
    assert "--input-range 0,1" in str(caught.value)
    require_plausible(outputs, PixelFormat((0, 1), (0, 1)), "the reference's")


def test_half_outside_is_wrong_for_a_check_and_a_warning_before_a_repair(caplog):
    rng = np.random.default_rng(0)
    outputs = [rng.uniform(-1, 0.8, (2, 3, 16, 16)).astype(np.float32)]
    pixels, values = PixelFormat((-1, 1), (0, 1)), PictureValues()
    values.add(pixels.scaled(outputs[0]))
    assert "--output-range 0,1" in implausible(values, pixels, "the model's")
    require_plausible(outputs, pixels, "the model's")
    assert "--output-range 0,1" in caplog.text


def test_nothing_is_wrong_with_no_pictures():
    assert implausible(PictureValues(), WRONG, "the model's") is None
