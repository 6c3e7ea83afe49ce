from dataclasses import replace

import onnx
import pytest
from onnx import TensorProto, helper

from decig.data.labels import Labels
from decig.errors import BadInputError
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from tests.samples import generator, write_generator

FLAGS = PixelFlags((0.0, 255.0), (0.0, 1.0), None, "bgr")


def test_a_bare_file_says_only_what_its_shape_says(tmp_path):
    source = resolve(str(write_generator(tmp_path / "m.onnx")))
    assert source.pixels is None
    with pytest.raises(BadInputError) as caught:
        source.require_pixels()
    for flag in ("m.onnx", "--input-range", "--output-range", "--channel-order"):
        assert flag in str(caught.value)
    assert "--layout" not in str(caught.value)


def test_one_channel_has_no_order(tmp_path):
    source = resolve(str(write_generator(tmp_path / "m.onnx", channels=1)))
    with pytest.raises(BadInputError) as caught:
        source.require_pixels()
    assert "--channel-order" not in str(caught.value)


def test_a_shape_that_fits_both_layouts_asks(tmp_path):
    path = write_generator(tmp_path / "m.onnx", channels=3, size=3)
    with pytest.raises(BadInputError, match="--layout"):
        resolve(str(path), FLAGS).require_pixels()


def test_flags_give_the_pixels(tmp_path):
    pixels = resolve(str(write_generator(tmp_path / "m.onnx")), FLAGS).require_pixels()
    assert pixels.input_range == (0.0, 255.0)
    assert (pixels.layout, pixels.channel_order) == ("nchw", "bgr")


def test_feeds_are_borrowed_by_place_where_names_differ(tmp_path):
    proto = generator()
    for node in proto.graph.node:
        node.input[:] = ["picture_in" if name == "image" else name for name in node.input]
    proto.graph.input[0].name = "picture_in"
    onnx.save(proto, tmp_path / "renamed.onnx")
    flags = PixelFlags(feeds={"image": "normal", "typo": "zeros"})
    known = resolve(str(write_generator(tmp_path / "m.onnx")), flags)
    renamed = resolve(str(tmp_path / "renamed.onnx"), flags)
    assert renamed.borrow(known).feeds == {"picture_in": "normal", "typo": "zeros"}
    assert known.borrow(renamed).feeds == known.feeds


def test_advice_names_the_flags(tmp_path):
    """Rooms below say what is missing; how to say it on the command line is known here."""
    proto = generator(channels=5)
    proto.graph.input.append(helper.make_tensor_value_info("code", TensorProto.FLOAT, [1, 8]))
    onnx.save(proto, tmp_path / "m.onnx")
    flags = replace(FLAGS, layout="nchw")
    source = resolve(str(tmp_path / "m.onnx"), flags)
    with pytest.raises(BadInputError, match=r"input has 5 channels.*give --one-hot 5 or --one-"):
        source.require_image()
    labelled = resolve(str(tmp_path / "m.onnx"), replace(flags, labels=Labels(ids=5)))
    labelled.require_image()
    for source in (labelled, replace(labelled, feeds={})):
        with pytest.raises(BadInputError, match=r"input code .*, as in --feed code=normal or und"):
            source.require_feeds()
    replace(labelled, feeds={"code": "normal"}).require_feeds()
    with pytest.raises(BadInputError, match="the model's output has 5 channels"):
        labelled.require_picture()
    with pytest.raises(BadInputError, match=r"typo is declared to be fed, .* image, code"):
        replace(labelled, feeds={"typo": "zeros"}).require_known_feeds()
