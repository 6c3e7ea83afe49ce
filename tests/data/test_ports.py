import onnx
import pytest
from onnx import TensorProto, helper

from decig.data.feeds import Inputs
from decig.data.pixels import PixelFormat
from decig.data.ports import (
    AmbiguousPortError,
    find_image,
    find_picture,
    image_input,
    other_pictures,
    output_image,
    paints,
    picture_output,
    require_ports,
)
from decig.errors import BadInputError

PIXELS = PixelFormat((0, 1), (0, 1))
COLOUR, GREY, CURVES, CODE = [1, 3, 16, 16], [1, 1, 16, 16], [1, 24, 16, 16], [1, 8]


def ports(inputs: dict[str, list[int]], outputs: dict[str, list[int]]) -> onnx.ModelProto:
    infos = (
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in some.items()]
        for some in (inputs, outputs)
    )
    return helper.make_model(helper.make_graph([], "g", *infos))


def gives(**outputs: list[int]) -> onnx.ModelProto:
    return ports({"x": COLOUR}, outputs)


def takes(**inputs: list[int]) -> onnx.ModelProto:
    return ports(inputs, {"y": COLOUR})


@pytest.mark.parametrize(
    ("outputs", "candidates"),
    [
        ({"a": COLOUR, "b": COLOUR, "c": CURVES}, ["a", "b"]),
        ({"small": [1, 3, 8, 8], "large": COLOUR}, ["small", "large"]),
        ({"m": GREY, "n": GREY, "c": CODE}, ["m", "n"]),
    ],
)
def test_several_pictures_are_refused_and_named(outputs, candidates):
    with pytest.raises(AmbiguousPortError, match=" .*".join(candidates)) as caught:
        output_image(gives(**outputs), PIXELS)
    assert caught.value.names == candidates
    for place, name in enumerate(outputs):
        if name in candidates:
            named = PixelFormat((0, 1), (0, 1), picture=name)
            assert output_image(gives(**outputs), named).name == name
            assert picture_output(gives(**outputs), named) == place


@pytest.mark.parametrize(
    ("outputs", "picture"),
    [
        ({"mask": GREY, "y": COLOUR}, "y"),
        ({"curves": CURVES, "y": GREY}, "y"),
        ({"code": CODE, "y": CURVES, "z": CURVES}, "y"),
        ({"gain": [1, 3, 1, 1], "y": COLOUR}, "y"),
    ],
)
def test_one_picture_needs_no_name(outputs, picture):
    assert output_image(gives(**outputs), PIXELS).name == picture
    assert find_picture(gives(**outputs)).name == picture


def test_the_layout_says_what_are_channels():
    flat = gives(a=[1, 3, 3, 16], b=COLOUR)
    last = PixelFormat((0, 1), (0, 1), "nhwc")
    assert output_image(gives(a=[1, 16, 16, 3], b=COLOUR), last).name == "a"
    with pytest.raises(AmbiguousPortError):
        output_image(flat, PIXELS)


def test_pictures_beside_the_picture():
    proto = gives(a=COLOUR, b=COLOUR, mask=GREY, tiny=[1, 3, 4, 4], curves=CURVES, code=CODE)
    named = PixelFormat((0, 1), (0, 1), picture="b")
    assert [info.name for info in other_pictures(proto, named, 11)] == ["a", "mask"]


def test_several_images_are_refused_and_named():
    proto = takes(content=COLOUR, style=COLOUR, noise=GREY)
    for choose in (image_input, lambda *given: Inputs.of(*given, {})):
        with pytest.raises(AmbiguousPortError, match=r"inputs .*content .*style") as caught:
            choose(proto, PIXELS)
        assert caught.value.names == ["content", "style"]
    assert find_image(proto, PIXELS).name == "content"
    named = PixelFormat((0, 1), (0, 1), image="style")
    assert image_input(proto, named).name == "style"
    assert Inputs.of(proto, named, {"content": 0.0, "noise": 0.0}).image.name == "style"
    assert image_input(proto, PIXELS, {"content"}).name == "style"


def test_encoders_paint_nothing():
    assert not paints(gives(code=CODE, skip=CURVES), PIXELS)
    assert not paints(gives(gain=[1, 3, 1, 1]), PIXELS)
    assert paints(gives(code=CODE, y=GREY), PIXELS)
    assert paints(gives(y=[1, 16, 16, 3]), None)


def test_names_must_be_there_and_fit():
    proto = ports({"x": COLOUR, "z": CODE}, {"y": COLOUR})
    require_ports(proto, None, None)
    require_ports(proto, "x", "y")
    with pytest.raises(BadInputError, match=r"q cannot be the picture: .* outputs are y \(1x3x16"):
        require_ports(proto, None, "q")
    with pytest.raises(BadInputError, match=r"z cannot be the image: .* x \(1x3x16x16\), z \(1x8"):
        require_ports(proto, "z", None)
