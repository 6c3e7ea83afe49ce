from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from decig.data.inputs import Pictures, seeded_feeds
from decig.data.labels import Labels
from decig.data.pixels import PixelFormat
from decig.data.ports import image_input, picture_output
from decig.errors import BadInputError
from tests.samples import generator, write_photos

PIXELS = PixelFormat((-1, 1), (0, 1))


def takes(*inputs: tuple[str, int, list[int]]) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    return helper.make_model(helper.make_graph([], "g", infos, []))


def test_pictures_fit_the_model(tmp_path):
    pictures = list(Pictures(write_photos(tmp_path), generator(), PIXELS))
    assert [picture.name for picture in pictures] == ["a", "b", "c"]
    for picture in pictures:
        assert picture.pixels.shape == (24, 24, 3)
        assert picture.feeds["image"].shape == (1, 3, 24, 24)
        assert picture.feeds["image"].dtype == np.float32
        assert -1 <= picture.feeds["image"].min() < picture.feeds["image"].max() <= 1


def test_nhwc_models_get_nhwc(tmp_path):
    proto = takes(("x", TensorProto.FLOAT, [1, 20, 30, 3]))
    pixels = PixelFormat((0, 255), (0, 255), "nhwc")
    picture = next(iter(Pictures(write_photos(tmp_path, 1), proto, pixels)))
    np.testing.assert_array_equal(picture.feeds["x"][0], picture.pixels)


def test_label_maps_keep_their_colours(tmp_path):
    folder = write_photos(tmp_path, 1, height=31, width=31)
    palette = ((0, 0, 0), (128, 0, 0), (255, 255, 255))
    pixels = replace(PIXELS, labels=Labels(palette, encoding="colours"))
    picture = next(iter(Pictures(folder, generator(), pixels)))
    found = set(map(tuple, picture.pixels.reshape(-1, 3).tolist()))
    assert 1 < len(found) <= 3 and found <= set(palette)
    np.testing.assert_array_equal(picture.feeds["image"], PIXELS.to_tensor(picture.pixels[None]))


def test_label_maps_become_channels(tmp_path):
    for number in range(2):
        ids = np.arange(4, dtype=np.uint8).repeat(8).reshape(4, 8) * 0 + number
        ids[:2, :4] = 3
        Image.fromarray(ids.repeat(4, 0).repeat(4, 1)).save(tmp_path / f"{number}.png")
    proto = takes(("x", TensorProto.FLOAT, [1, 5, 20, 20]))
    pixels = replace(PIXELS, input_range=(0, 1), labels=Labels(ids=5))
    for number, picture in enumerate(Pictures(tmp_path, proto, pixels)):
        hot = picture.feeds["x"][0]
        assert set(np.unique(hot)) == {0, 1}
        np.testing.assert_array_equal(hot.sum(0), 1)
        np.testing.assert_array_equal(hot.argmax(0), picture.pixels[..., 0])
        assert hot.any(axis=(1, 2)).nonzero()[0].tolist() == sorted({number, 3})
    with pytest.raises(BadInputError, match=r"input has 5 channels, one-hot.*of 6 labels have 6"):
        Pictures(tmp_path, proto, replace(pixels, labels=Labels(ids=6)))
    with pytest.raises(BadInputError, match=r"input has 5 channels; images have 1"):
        Pictures(tmp_path, proto, PIXELS)


def test_a_limit_spreads_over_the_folder(tmp_path):
    pictures = Pictures(write_photos(tmp_path, 8), generator(), PIXELS, limit=4)
    assert [picture.name for picture in pictures] == ["a", "c", "e", "g"]


@pytest.mark.parametrize(
    "inputs",
    [
        [("x", TensorProto.FLOAT, [1, 3, 8])],
        [("x", TensorProto.INT64, [1, 3, 8, 8]), ("y", TensorProto.FLOAT, [1, 512])],
        [],
    ],
)
def test_models_that_take_something_else(inputs):
    with pytest.raises(BadInputError, match="images can feed no input of it"):
        image_input(takes(*inputs))


def test_the_image_among_several_inputs(tmp_path):
    proto = takes(
        ("noise", TensorProto.FLOAT, [1, 1, 20, 20]),
        ("code", TensorProto.FLOAT, [1, 64]),
        ("image", TensorProto.FLOAT, [1, 3, 20, 20]),
        ("labels", TensorProto.FLOAT, [1, 35, 20, 20]),
        ("class", TensorProto.INT64, [1]),
    )
    assert image_input(proto).name == "image"
    folder = write_photos(tmp_path, 2)
    with pytest.raises(BadInputError, match=r"input noise \(1x1x20x20\) takes no image"):
        Pictures(folder, proto, PIXELS)
    declared = {"noise": "uniform", "code": "normal", "labels": 0.5}
    pictures = Pictures(folder, proto, PIXELS, declared=declared)
    first, second = pictures
    assert list(first.feeds) == ["noise", "code", "image", "labels", "class"]
    for name in ("image", "noise", "code"):
        assert not np.array_equal(first.feeds[name], second.feeds[name])
        assert first.feeds[name].std() > 0.3
    assert (first.feeds["labels"] == 0.5).all()
    assert first.feeds["class"].tolist() == [0]
    again = next(iter(pictures))
    assert all(np.array_equal(again.feeds[name], first.feeds[name]) for name in first.feeds)


def test_a_model_without_an_image_is_fed_by_draws(tmp_path):
    proto = takes(("code", TensorProto.FLOAT, [1, 64]), ("z", TensorProto.FLOAT, [1, 1, 4, 4]))
    drawn = Pictures(None, proto, PIXELS, declared={"code": "normal", "z": "zeros"}, limit=3)
    feeds = [picture.feeds for picture in drawn]
    assert len({float(each["code"][0, 0]) for each in feeds}) == 3
    assert all(not each["z"].any() for each in feeds)
    assert all(picture.pixels is None for picture in drawn)
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.full(64, ord(name)))
    declared = {"code": "files", "z": "zeros"}
    read = [
        picture.feeds["code"] for picture in Pictures(tmp_path, proto, PIXELS, declared=declared)
    ]
    assert [code[0, 0] for code in read] == [97, 98]
    with pytest.raises(BadInputError, match=r"no folder is given of the \.npy or \.npz files"):
        Pictures(None, proto, PIXELS, declared=declared)
    for more in (declared, {"code": "normal", "z": "zeros"}):
        with pytest.raises(BadInputError, match="nowhere: no such folder"):
            Pictures(tmp_path / "nowhere", proto, PIXELS, declared=more)


def test_files_lie_beside_the_images_in_any_sub_folder(tmp_path):
    proto = takes(("image", TensorProto.FLOAT, [1, 3, 8, 8]), ("code", TensorProto.FLOAT, [1, 4]))
    for number, folder in enumerate((tmp_path, tmp_path / "one", tmp_path / "one" / "two")):
        write_photos(folder, 1)
        np.save(folder / "a.npy", np.full(4, number))
    pictures = Pictures(tmp_path, proto, PIXELS, declared={"code": "files"})
    found = {picture.name: picture.feeds["code"][0, 0] for picture in pictures}
    assert found == {"a": 0, "one/a": 1, "one/two/a": 2}
    (tmp_path / "one" / "a.npy").unlink()
    with pytest.raises(BadInputError, match=r"one/a\.npy: no such file for input code"):
        list(pictures)


def test_images_are_asked_for_where_the_model_takes_one():
    with pytest.raises(BadInputError, match=r"input image takes images, and no folder"):
        Pictures(None, generator(), PIXELS)


def test_bytes_are_fed_as_bytes(tmp_path):
    proto = takes(("x", TensorProto.UINT8, [1, 20, 30, 3]))
    pixels = PixelFormat((0, 255), (0, 255), "nhwc")
    picture = next(iter(Pictures(write_photos(tmp_path, 1), proto, pixels)))
    assert picture.feeds["x"].dtype == np.uint8
    np.testing.assert_array_equal(picture.feeds["x"][0], picture.pixels)


def test_the_picture_among_several_outputs():
    proto = takes()
    for name, shape in (("code", [1, 64]), ("mask", [1, 1, 8, 8]), ("picture", [1, 3, 8, 8])):
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        proto.graph.output.append(info)
    assert picture_output(proto) == 2
    del proto.graph.output[1:]
    assert picture_output(proto) == 0


def test_noise_is_seeded_and_in_range():
    known = seeded_feeds(generator(), PIXELS)
    again = seeded_feeds(generator(), PIXELS)
    assert all(np.array_equal(a["image"], b["image"]) for a, b in zip(known, again, strict=True))
    assert not np.array_equal(known[0]["image"], known[1]["image"])
    assert all(-1 <= feeds["image"].min() < -0.9 for feeds in known)


def test_noise_tries_the_usual_ranges_where_none_is_known():
    tops = [feeds["image"].max() for feeds in seeded_feeds(generator(), None)]
    assert 0.9 < tops[0] <= 1
    assert 0.9 < tops[1] <= 1
    assert 200 < tops[2] <= 255


def test_bytes_are_noise():
    noise = seeded_feeds(takes(("x", TensorProto.UINT8, [1, 20, 30, 3])), None)[0]["x"]
    assert noise.dtype == np.uint8
    assert noise.min() == 0
    assert noise.max() == 255


def test_whole_number_inputs_are_zero():
    proto = takes(("class", TensorProto.INT64, [1]))
    assert seeded_feeds(proto, None)[0]["class"].tolist() == [0]
