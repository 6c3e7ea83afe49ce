import numpy as np
import pytest

from decig.data.pixels import PixelFormat
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
    PixelFormat((0, 1), (0, 1)).check_channels(1, "input")


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


@pytest.mark.parametrize("order", ["rgba", "bgra"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_transparency_goes_in_and_is_laid_over_white_when_it_comes_out(order, layout):
    pixels = PixelFormat((-1, 1), (-1, 1), layout, order)
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 4), np.uint8)
    tensor = pixels.to_tensor(images, 4)
    last = tensor.transpose(0, 2, 3, 1) if layout == "nchw" else tensor
    colours = last[..., :3] if order == "rgba" else last[..., 2::-1]
    np.testing.assert_allclose((colours + 1) * 127.5, images[..., :3], atol=1e-3)
    np.testing.assert_allclose((last[..., 3] + 1) * 127.5, images[..., 3], atol=1e-3)
    alpha = images[..., 3:] / 255
    np.testing.assert_allclose(
        pixels.to_unit(tensor), images[..., :3] / 255 * alpha + 1 - alpha, atol=1e-5
    )
    opaque = pixels.to_tensor(images[..., :3], 4)
    np.testing.assert_allclose(pixels.to_unit(opaque), images[..., :3] / 255, atol=1e-5)
    grey = pixels.to_tensor(images, 1)
    assert grey.shape[1 if layout == "nchw" else 3] == 1


def test_lab_is_that_of_the_cie_in_the_range_of_the_model():
    white, black, red = (np.full((1, 2, 2, 3), c, np.uint8) for c in (255, 0, [[[255, 0, 0]]]))
    raw = PixelFormat((0, 255), (0, 255), channel_order="lab")
    for image, lab in ((white, (100, 0, 0)), (black, (0, 0, 0)), (red, (53.24, 80.09, 67.20))):
        right = lab[0] * 2.55, lab[1] + 128, lab[2] + 128
        found = raw.to_tensor(image)[0, :, 0, 0]
        np.testing.assert_allclose(found, right, atol=0.05)
    lightness = PixelFormat((0, 100), (-128, 127), channel_order="lab")
    np.testing.assert_allclose(lightness.to_tensor(red, 1), 53.24, atol=0.02)


def test_lab_comes_back():
    pixels = PixelFormat((-1, 1), (-1, 1), "nhwc", "lab")
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    tensor = pixels.to_tensor(images)
    np.testing.assert_allclose(pixels.to_unit(tensor), images / 255, atol=2e-3)
    grey = pixels.to_unit(tensor[..., :1])
    assert np.ptp(grey, axis=-1).max() < 1e-2
    colours = pixels.to_unit(tensor[..., 1:])
    assert np.ptp(colours, axis=-1).mean() > 0.1


@pytest.mark.parametrize(
    ("order", "channels", "side"),
    [("rgb", 4, "input"), ("rgba", 2, "output"), ("lab", 2, "input"), ("lab", 4, "output")],
)
def test_channels_that_an_order_does_not_have(order, channels, side):
    pixels = PixelFormat((0, 1), (0, 1), channel_order=order)
    with pytest.raises(BadInputError, match=f"{side} has {channels} channels"):
        pixels.check_channels(channels, side)
