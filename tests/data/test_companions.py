from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from decig.data.declared import declare, from_files
from decig.data.feeds import Inputs, drawn_names
from decig.data.images import ImageFolder, photo_of
from decig.data.inputs import Pictures
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError

PIXELS = PixelFormat((-1, 1), (-1, 1))
SIDE = 8


def takes(**inputs: list[int]) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    return helper.make_model(helper.make_graph([], "g", infos, []))


def colours(seed: int, channels: int = 3) -> np.ndarray:
    shape = (SIDE, SIDE) if channels == 1 else (SIDE, SIDE, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save(file: Path, pixels: np.ndarray) -> np.ndarray:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return pixels


def unit(pixels: np.ndarray) -> np.ndarray:
    """N,C,H,W between 0 and 1."""
    hwc = pixels[..., None] if pixels.ndim == 2 else pixels
    return hwc.transpose(2, 0, 1)[None].astype(np.float32) / 255


IMAGE = [1, 3, SIDE, SIDE]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("place", ["street/a.mask.png", "mask/street/a.png", "street/a.mask.tif"])
def test_an_image_of_any_channel_count_lies_beside_the_photo(tmp_path, channels, place):
    save(tmp_path / "street" / "a.png", colours(0))
    mask = save(tmp_path / place, colours(1, channels))
    proto = takes(image=IMAGE, mask=[1, channels, SIDE, SIDE])
    for way, low, high in (("files", -1, 1), ("files:0,1", 0, 1)):
        pictures = Pictures(tmp_path, proto, PIXELS, declared={"mask": way})
        (picture,) = list(pictures)  # the mask is no photo
        assert picture.name == "street/a"
        right = unit(mask) * (high - low) + low
        np.testing.assert_allclose(picture.feeds["mask"], right, atol=1e-6)


def test_a_mask_in_colours_becomes_grey_and_a_grey_one_colours(tmp_path):
    save(tmp_path / "a.png", colours(0))
    grey = save(tmp_path / "a.mask.png", np.repeat(colours(1, 1)[..., None], 3, axis=-1))
    proto = takes(image=IMAGE, mask=[1, 1, SIDE, SIDE])
    (picture,) = Pictures(tmp_path, proto, PIXELS, declared={"mask": "files:0,1"})
    np.testing.assert_allclose(picture.feeds["mask"], unit(grey)[:, :1], atol=1e-2)
    save(tmp_path / "a.mask.png", colours(1, 1))
    proto = takes(image=IMAGE, mask=IMAGE)
    declared = {"mask": "files:0,1"}
    (picture,) = Pictures(tmp_path, proto, PIXELS, declared=declared)
    np.testing.assert_allclose(picture.feeds["mask"], np.repeat(unit(colours(1, 1)), 3, 1))


def test_masks_are_fitted_as_the_photo_is_and_get_no_new_levels(tmp_path):
    save(tmp_path / "a.png", np.zeros((20, 40, 3), np.uint8))
    mask = np.zeros((20, 40), np.uint8)
    mask[:, 20:] = 255
    save(tmp_path / "a.mask.png", mask)
    proto = takes(image=IMAGE, mask=[1, 1, SIDE, SIDE])
    (picture,) = Pictures(tmp_path, proto, PIXELS, declared={"mask": "files:0,1"})
    found = picture.feeds["mask"][0, 0]
    assert set(np.unique(found)) == {0, 1}
    assert (found[:, : SIDE // 2] == 0).all() and (found[:, SIDE // 2 :] == 1).all()


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("places", [("a.x.1.png", "a.x.2.png"), ("x.1/a.png", "x.2/a.png")])
def test_two_pictures_stacked_into_six_channels(tmp_path, order, places):
    first, second = (save(tmp_path / place, colours(i)) for i, place in enumerate(places))
    pixels = PixelFormat((0, 1), (0, 1), channel_order=order)
    proto = takes(x=[1, 6, SIDE, SIDE])
    pictures = Pictures(tmp_path, proto, pixels, declared={"x": "files:0,255"})
    (picture,) = list(pictures)
    step = 1 if order == "rgb" else -1
    right = np.concatenate([unit(first[..., ::step]), unit(second[..., ::step])], axis=1) * 255
    np.testing.assert_allclose(picture.feeds["x"], right, atol=1e-3)
    assert drawn_names(pictures.inputs, 9) == ["a"]


def test_the_last_axis_holds_the_channels_of_nhwc(tmp_path):
    save(tmp_path / "a.png", colours(0))
    mask = save(tmp_path / "a.mask.png", colours(1, 1))
    pixels = PixelFormat((0, 1), (0, 1), "nhwc")
    proto = takes(image=[1, SIDE, SIDE, 3], mask=[1, SIDE, SIDE, 1])
    (picture,) = Pictures(tmp_path, proto, pixels, declared={"mask": "files"})
    np.testing.assert_allclose(picture.feeds["mask"][0, ..., 0], mask / 255, atol=1e-6)


def test_a_batch_is_filled(tmp_path):
    save(tmp_path / "a.png", colours(0))
    mask = save(tmp_path / "a.mask.png", colours(1, 1))
    proto = takes(image=[2, 3, SIDE, SIDE], mask=[2, 1, SIDE, SIDE])
    (picture,) = Pictures(tmp_path, proto, PIXELS, declared={"mask": "files:0,1"})
    np.testing.assert_allclose(picture.feeds["mask"], np.repeat(unit(mask), 2, 0), atol=1e-6)


def test_what_is_missing_or_does_not_fit_is_named(tmp_path):
    save(tmp_path / "a.png", colours(0))
    proto = takes(image=IMAGE, mask=[1, 5, SIDE, SIDE])
    pictures = Pictures(tmp_path, proto, PIXELS, declared={"mask": "files"})
    with pytest.raises(BadInputError, match=r"a\.npy: .* a\.npz, a\.mask\.png or mask/a\.png"):
        list(pictures)
    save(tmp_path / "a.mask.png", colours(1))
    with pytest.raises(BadInputError, match=r"mask has 5 channels.*a\.mask\.1\.png"):
        list(pictures)


def test_without_a_photo_the_range_must_be_said_and_the_plain_name_will_do(tmp_path):
    picture = save(tmp_path / "a.png", colours(0, 4))
    proto = takes(x=[1, 4, SIDE, SIDE])
    silent = Inputs.of(proto, PIXELS, {"x": "files"}, tmp_path)
    with pytest.raises(BadInputError, match="x=files:0,255"):
        silent.draw(np.random.default_rng(0), "a")
    said = Inputs.of(proto, PIXELS, {"x": "files:0,1"}, tmp_path)
    assert drawn_names(said, 3) == ["a"]
    feeds = said.draw(np.random.default_rng(0), "a")
    np.testing.assert_allclose(feeds["x"], unit(picture), atol=1e-6)


def test_images_do_not_count_beside_arrays(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, SIDE, SIDE), np.float32))
    save(tmp_path / "preview.png", colours(0))
    inputs = Inputs.of(takes(x=[1, 4, SIDE, SIDE]), PIXELS, {"x": "files"}, tmp_path)
    assert drawn_names(inputs, 3) == ["a"]


@pytest.mark.parametrize("way", ["files:", "files:1,0", "files:0", "files:a,b", "files:0,inf"])
def test_a_range_that_is_none_is_refused(way):
    with pytest.raises(BadInputError, match="write files:0,1"):
        declare("mask", way)


def test_ways_of_files():
    assert declare("mask", "files:0,1") == "files:0,1"
    assert from_files("files") and from_files("files:-1,1")
    assert not from_files("normal") and not from_files(0.5)


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("a.mask", "a"),
        ("s/a.mask", "s/a"),
        ("mask/s/a", "s/a"),
        ("a.mask.2", "a"),
        ("mask.2/a", "a"),
        ("a", None),
        ("mask", None),
        ("s/mask", None),
        ("a.masked", None),
        ("mask.x/a", None),
    ],
)
def test_which_files_feed_an_input(name, photo):
    assert photo_of(name, ["other", "mask"]) == photo


def test_a_folder_of_photos_keeps_what_is_not_declared(tmp_path):
    for name in ("a.png", "a.mask.png"):
        save(tmp_path / name, colours(0))
    assert len(ImageFolder(tmp_path)) == 2
    assert [file.name for file in ImageFolder(tmp_path, beside=["mask"]).files] == ["a.png"]
