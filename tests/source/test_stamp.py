import onnx
import pytest

from decig import __version__
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.source.stamp import Known, pixels_entry, read_known, read_stamp, stamp, stamped_rewrites
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
    known = read_known(proto, "m.onnx")
    assert known == Known(pixels=pixels)
    assert known.format["layout"] == "nhwc"
    assert pixels_entry(None) is None


def test_feeds_and_pixels_inside_come_back():
    proto = generator()
    stamp(proto, {"feeds": {"code": "normal", "age": 0.5}, "pixel_io": True, "plan": {"a": [1]}})
    known = read_known(proto, "m.onnx")
    assert known.declared == {"code": "normal", "age": 0.5}
    assert known.pixel_io
    assert known.format == {}


def test_nothing_is_known_of_a_file_of_another_program():
    assert read_known(generator(), "m.onnx") == Known()


RANGES = '"input_range": [0, 1], "output_range": [0, 1]'


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        ("pixels", "{}", "pixels.input_range is missing"),
        ("pixels", '{"input_range": 1}', "pixels.input_range: expected `array`, not 1"),
        ("pixels", f'{{{RANGES}, "gamma": 2}}', "unknown key pixels.gamma; known: input_range"),
        ("pixels", f'{{{RANGES}, "labels": [12]}}', "pixels.labels: expected"),
        ("pixels", f'{{{RANGES}, "layout": "hwcn"}}', "layout 'hwcn' is neither nchw nor nhwc"),
        ("pixels", "[1]", "pixels: expected"),
        ("pixels", '{"input_range": [0, NaN]}', "pixels.input_range[1]: not a finite number"),
        ("pixel_io", '"yes"', "pixel_io: expected `bool`, not 'yes'"),
        ("feeds", '["code"]', "feeds: expected `object`, not ['code']"),
        ("feeds", '{"code": []}', "feeds.code: expected"),
        ("pixels", "{", "metadata decig.pixels is not valid JSON"),
        ("plan", "{", "metadata decig.plan is not valid JSON"),
    ],
)
def test_a_damaged_stamp_is_refused(key, entry, message):
    proto = generator()
    onnx.helper.set_model_props(proto, {f"decig.{key}": entry})
    with pytest.raises(BadInputError) as caught:
        read_known(proto, "m.onnx")
    assert str(caught.value).startswith(f"m.onnx: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("figures", "note"),
    [
        (
            {"macs": 1500, "macs_before": 1000, "rewrites": {"kept": ["wide_head", "winograd"]}},
            "1,000 before export, which rewrote it for speed (wide_head, winograd)",
        ),
        ({"macs": 900, "macs_before": 1000, "rewrites": {"kept": ["wide_head"]}}, ""),
        ({"macs": 1500, "macs_before": 1000, "rewrites": {"kept": []}}, ""),
        ({"macs": 1500, "rewrites": {"kept": ["wide_head"]}}, ""),  # of an older decig
        ({"macs": "many"}, ""),
        (None, ""),
    ],
)
def test_why_a_file_has_more_multiply_accumulates(figures, note):
    proto = generator()
    stamp(proto, {"figures": figures})
    assert stamped_rewrites(proto).note == note
