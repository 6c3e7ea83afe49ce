import onnx
import pytest

from decig import __version__
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.source.stamp import pixels_entry, pixels_from, read_stamp, stamp
from tests.samples import generator


def test_entries_come_back_and_others_stay():
    proto = generator()
    onnx.helper.set_model_props(proto, {"author": "somebody", "decig.plan": "{}"})
    stamp(proto, {"plan": {"a": [1]}, "nothing": None})
    assert read_stamp(proto) == {"version": __version__, "plan": {"a": [1]}}
    assert {prop.key: prop.value for prop in proto.metadata_props}["author"] == "somebody"


def test_figures_that_are_undefined_are_null():
    proto = generator()
    stamp(proto, {"figures": {"ssim": float("nan"), "speedup": 2.0}})
    assert read_stamp(proto)["figures"] == {"ssim": None, "speedup": 2.0}


def test_a_file_of_another_program_has_no_stamp():
    assert read_stamp(generator()) == {}


def test_pixels_come_back():
    pixels = PixelFormat((0, 255), (-1, 1), "nhwc", "bgr")
    proto = generator()
    stamp(proto, {"pixels": pixels_entry(pixels)})
    assert pixels_from(read_stamp(proto)["pixels"]) == pixels
    assert pixels_from(pixels_entry(None)) is None


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"input_range": 1},
        {"input_range": [0, 1], "output_range": [0, 1], "gamma": 2},
        {"input_range": [0, 1], "output_range": [0, 1], "labels": [12]},
        [1],
    ],
)
def test_a_bad_pixel_format_is_refused(entry):
    with pytest.raises(BadInputError, match="pixel format"):
        pixels_from(entry)


def test_a_stamp_that_is_no_json_is_refused():
    proto = generator()
    onnx.helper.set_model_props(proto, {"decig.plan": "{"})
    with pytest.raises(BadInputError, match=r"metadata decig\.plan"):
        read_stamp(proto)
