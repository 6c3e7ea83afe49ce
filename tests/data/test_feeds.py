import os
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from decig.data.feeds import Inputs, UnfedInputError, drawn_names, in_order
from decig.data.labels import Labels
from decig.data.pixels import PixelFormat
from decig.data.ports import find_image
from decig.errors import BadInputError

PIXELS = PixelFormat((-1, 1), (-1, 1))
FLOAT = TensorProto.FLOAT
NOISE, CODE = ("noise", FLOAT, [1, 1, 16, 16]), ("code", FLOAT, [1, 8])
IMAGE, MAP = ("image", FLOAT, [1, 3, 16, 16]), ("map", FLOAT, [1, 12, 16, 16])


def takes(*inputs: tuple[str, int, list[int]]) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    return helper.make_model(helper.make_graph([], "g", infos, []))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_image_is_what_nothing_else_feeds():
    proto = takes(NOISE, MAP, IMAGE)
    assert find_image(proto).name == "image"
    labels = PixelFormat((0, 1), (0, 1), labels=Labels(ids=12))
    assert find_image(proto, labels).name == "map"
    assert find_image(proto, None, {"image"}).name == "noise"
    assert find_image(proto, None, {"image", "noise", "map"}) is None


def test_draws_are_as_declared():
    inputs = Inputs.of(
        takes(NOISE, IMAGE, CODE, ("seed", TensorProto.INT64, [1]), ("amount", FLOAT, [])),
        PIXELS,
        {"noise": "uniform", "code": "normal", "seed": 7.0, "amount": 0.5},
    )
    feeds = inputs.draw(rng(), "a")
    assert -1 <= feeds["noise"].min() < -0.9 and 0.9 < feeds["noise"].max() <= 1
    assert feeds["code"].shape == (1, 8) and feeds["code"].dtype == np.float32
    assert feeds["seed"].tolist() == [7] and feeds["seed"].dtype == np.int64
    assert feeds["amount"] == np.float32(0.5)
    again = inputs.draw(rng(), "b")
    assert all(np.array_equal(feeds[name], again[name]) for name in feeds)
    joined = inputs.join(np.zeros((1, 3, 16, 16), np.float32), feeds)
    assert list(joined) == ["noise", "image", "code", "seed", "amount"]


def test_maps_follow_the_size_of_a_crop_and_codes_do_not():
    inputs = Inputs.of(takes(NOISE, IMAGE, CODE), PIXELS, {"noise": "normal", "code": "zeros"})
    shapes = {name: array.shape for name, array in inputs.draw(rng(), "a", (8, 4)).items()}
    assert shapes == {"noise": (1, 1, 8, 4), "code": (1, 8)}


def test_files_are_found_by_stem(tmp_path: Path):
    inputs = Inputs.of(takes(IMAGE, CODE), PIXELS, {"code": "files"}, tmp_path)
    assert inputs.reads_files
    np.save(tmp_path / "a.npy", np.arange(8, dtype=np.float64))
    np.savez(tmp_path / "b.npz", code=np.ones((1, 8)), other=np.zeros(3))
    assert inputs.draw(rng(), "a")["code"].tolist() == [list(range(8))]
    assert inputs.draw(rng(), "b")["code"].dtype == np.float32
    np.save(tmp_path / "c.npy", np.zeros((2, 8)))
    np.savez(tmp_path / "d.npz", style=np.zeros(8))
    (tmp_path / "e.npy").write_bytes(b"no array")
    np.save(tmp_path / "f.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "i.npy", np.array([[0, 1, 2, np.nan, 4, 5, 6, 7]]))
    np.save(tmp_path / "j.npy", np.full((1, 8), 1e300))
    (tmp_path / "h.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:60])
    for name, message in (
        ("c", r"c\.npy: holds 2x8 float64, input code takes 1x8"),
        ("d", r"d\.npz: cannot feed input code: .*code"),
        ("e", r"e\.npy: cannot feed input code"),
        ("f", r"f\.npy: cannot feed input code: .*allow_pickle"),
        ("h", r"h\.npz: cannot feed input code: .*zip"),
        ("i", r"i\.npy: holds NaN, infinity, or more than input code can hold"),
        ("j", r"j\.npy: holds NaN, infinity, or more than input code can hold"),
        ("g", r"g\.npy: no such file for input code, nor g\.npz"),
    ):
        with pytest.raises(BadInputError, match=message):
            inputs.draw(rng(), name)


def test_what_nothing_feeds_is_named():
    with pytest.raises(BadInputError, match=r"input code \(1x8\) takes no image") as caught:
        Inputs.of(takes(IMAGE, CODE), PIXELS, {})
    assert isinstance(caught.value, UnfedInputError)
    assert caught.value.name == "code"
    with pytest.raises(BadInputError, match=r"cod is declared to be fed, .* are image, code"):
        Inputs.of(takes(IMAGE, CODE), PIXELS, {"cod": "normal"})
    with pytest.raises(BadInputError, match=r"input words is no tensor of numbers"):
        Inputs.of(takes(IMAGE, ("words", TensorProto.STRING, [1])), PIXELS, {})


def test_numbers_that_are_declared():
    inputs = Inputs.of(takes(IMAGE, CODE), PIXELS, {"code": "1,2,3,4,5,6,7,8"})
    assert inputs.draw(rng(), "a")["code"].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]
    few = Inputs.of(takes(IMAGE, CODE), PIXELS, {"code": "1,2"})
    with pytest.raises(BadInputError, match=r"input code \(1x8\) is fed 2 numbers"):
        few.draw(rng(), "a")


def test_names_of_what_is_fed_without_images(tmp_path: Path):
    drawn = Inputs.of(takes(CODE), PIXELS, {"code": "normal"})
    assert drawn_names(drawn, 3) == ["0", "1", "2"]
    for name in "abcd":
        np.save(tmp_path / f"{name}.npy", np.zeros(8))
    read = Inputs.of(takes(CODE), PIXELS, {"code": "files"}, tmp_path)
    assert drawn_names(read, 2) == list("abcd")  # files are all taken
    assert drawn_names(read, 9, 2) == ["a", "c"]
    assert drawn_names(drawn, 3, 2) == ["0", "1"]
    assert drawn_names(read, 9) == list("abcd")
    (tmp_path / "more").mkdir()
    np.savez(tmp_path / "more" / "a.npz", code=np.ones(8))
    np.save(tmp_path / ".hidden.npy", np.zeros(8))
    assert drawn_names(read, 9) == [*"abcd", "more/a"]
    assert read.draw(rng(), "more/a")["code"].tolist() == [[1] * 8]


def test_draws_follow_from_names_of_any_bytes():
    inputs = Inputs.of(takes(CODE), PIXELS, {"code": "normal"})
    names = (b"a", b"a\xe9", b"a\xe8")
    found = [inputs.feed(None, PIXELS, os.fsdecode(name), seed=0)["code"] for name in names]
    assert len({array.tobytes() for array in found}) == 3
    drawn = np.random.default_rng([0, zlib.crc32(b"a\xe9")]).normal(size=(1, 8))
    assert np.array_equal(found[1], drawn.astype(np.float32))


def test_whole_numbers_are_the_nearest_ones():
    """Luma of most colours lies between two levels."""
    inputs = Inputs.of(takes(("image", TensorProto.UINT8, [1, 1, 8, 8])), PIXELS, {})
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    found = inputs.feed(image, replace(PIXELS, input_range=(0.0, 255.0)), "a", seed=0)["image"]
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert found.dtype == np.uint8 and abs(found[0, 0] - luma).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
    ("order", "channels", "wanted"),
    [
        ("bgra", 4, [2, 1, 0, 3]),
        ("bgra", 12, [2, 1, 0, 3, 6, 5, 4, 7, 10, 9, 8, 11]),
        ("bgra", 3, [2, 1, 0]),
        ("bgr", 6, [2, 1, 0, 5, 4, 3]),
        ("bgr", 1, [0]),
        ("rgba", 4, [0, 1, 2, 3]),
    ],
)
def test_companions_take_the_order_of_the_model(order: str, channels: int, wanted: list[int]):
    picture = np.arange(channels, dtype=np.uint8)[None, None].repeat(2, axis=1)
    assert in_order(picture, order)[0, 1].tolist() == wanted
