import numpy as np
import pytest

from decig.data.pixels import PixelFormat, check_channels
from decig.errors import BadInputError

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), np.uint8)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("bounds", [(0, 255), (0, 1), (-1, 1)])
def test_there_and_back_is_the_same(layout, order, bounds):
    pixels = PixelFormat(bounds, bounds, layout, order)
    tensor = pixels.to_tensor(IMAGES)
    assert tensor.dtype == np.float32
    assert tensor.shape == ((2, 3, 4, 6) if layout == "nchw" else (2, 4, 6, 3))
    assert tensor.flags.c_contiguous
    assert bounds[0] <= tensor.min() < tensor.max() <= bounds[1]
    assert np.array_equal(pixels.from_tensor(tensor), IMAGES)
    assert np.allclose(pixels.to_unit(tensor), IMAGES / 255, atol=1e-6)


def test_values_and_channel_order():
    red = np.array([[[[255, 0, 51]]]], np.uint8)
    rgb = PixelFormat((-1, 1), (0, 1)).to_tensor(red)
    bgr = PixelFormat((-1, 1), (0, 1), channel_order="bgr").to_tensor(red)
    assert np.allclose(rgb[0, :, 0, 0], [1, -1, -0.6])
    assert np.allclose(bgr[0, :, 0, 0], [-0.6, -1, 1])


def test_out_of_range_outputs_are_clipped():
    unit = PixelFormat((0, 1), (0, 255)).to_unit(np.full((1, 3, 1, 1), 300.0))
    assert unit.max() == 1


def test_one_channel_takes_luma_and_gives_grey():
    pixels = PixelFormat((0, 255), (0, 255))
    tensor = pixels.to_tensor(np.array([[[[255, 0, 0], [10, 10, 10]]]], np.uint8), channels=1)
    assert tensor.shape == (1, 1, 1, 2)
    assert np.allclose(tensor.ravel(), [0.299 * 255, 10])
    grey = pixels.from_tensor(tensor)
    assert grey.shape == (1, 1, 2, 3)
    assert (grey == grey[..., :1]).all()


def test_other_channel_counts_are_refused():
    with pytest.raises(BadInputError, match="input has 4 channels"):
        PixelFormat((0, 1), (0, 1)).to_tensor(IMAGES, channels=4)
    with pytest.raises(BadInputError, match="output has 2 channels"):
        PixelFormat((0, 1), (0, 1)).to_unit(np.zeros((1, 2, 4, 4)))
    with pytest.raises(BadInputError, match="not a batch of images"):
        PixelFormat((0, 1), (0, 1)).to_unit(np.zeros((1, 10)))
    check_channels(1, "input")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_range": (1, 0)}, "input_range"),
        ({"output_range": (0, 0)}, "output_range"),
        ({"layout": "hwc"}, "layout"),
        ({"channel_order": "gbr"}, "channel order"),
    ],
)
def test_formats_that_cannot_be_meant(changes, message):
    with pytest.raises(BadInputError, match=message):
        PixelFormat(**{"input_range": (0, 1), "output_range": (0, 1)} | changes)
