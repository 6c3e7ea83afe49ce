from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from decig.data.pixels import BYTES, PixelFormat
from decig.deploy.check import check
from decig.deploy.export import export
from decig.deploy.export_job import ExportSettings
from decig.deploy.pixel_io import noise_pixels, painter, with_pixel_io, wrap
from decig.deploy.tolerances import Tolerances
from decig.deploy.verify import grey_levels, runner
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.graph.model import input_info, normalise, output_info
from decig.graph.rewrite import CANONICAL, apply
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.source.stamp import read_stamp
from tests.graph.tiny import tiny
from tests.samples import generator, write_dynamic_generator, write_generator, write_photos

UNIT = PixelFlags((0.0, 1.0), (0.0, 1.0), None, "rgb")
RANGES = [((0.0, 1.0), (0.0, 1.0)), ((-1.0, 1.0), (-1.0, 1.0)), ((0.0, 255.0), (-0.5, 0.5))]


def nhwc(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Transpose both ends."""
    graph = proto.graph
    graph.node[0].input[0], graph.node[-1].output[0] = "planes", "painted"
    graph.node.insert(
        0, onnx.helper.make_node("Transpose", ["image"], ["planes"], "to", perm=[0, 3, 1, 2])
    )
    graph.node.append(
        onnx.helper.make_node("Transpose", ["painted"], ["picture"], "back", perm=[0, 2, 3, 1])
    )
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        sizes = [dims[axis].dim_value for axis in (0, 2, 3, 1)]
        for dim, size in zip(dims, sizes, strict=True):
            dim.dim_value = size
    return proto


def test_branches_read_what_the_graph_read():
    body = """
        total = ReduceSum<keepdims=0>(image)
        bright = Greater(total, zero)
        picture = If(bright) <
            then_branch = then () => (float[1,3,8,8] t) { t = Neg(image) },
            else_branch = other () => (float[1,3,8,8] e) { e = Abs(image) }
        >
    """
    ends = {"inputs": "float[1,3,8,8] image", "outputs": "float[1,3,8,8] picture"}
    proto = tiny(body, zero=np.float32(0), **ends)
    pixels = PixelFormat((-1.0, 1.0), (-1.0, 1.0))
    for level, wanted in ((0, 255), (200, 55)):
        image = np.full((1, 8, 8, 3), level, np.uint8)
        (found,) = runner(wrap(proto, pixels))({"image": image})
        assert np.abs(found.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("ranges", RANGES)
def test_pictures_are_those_of_pre_and_postprocessing_outside(
    tmp_path, ranges, layout, order, channels
):
    proto = generator(channels=channels)
    onnx.save(nhwc(proto) if layout == "nhwc" else proto, tmp_path / "m.onnx")
    outside = resolve(str(tmp_path / "m.onnx"), PixelFlags(*ranges, layout, order))
    inside = with_pixel_io(outside)
    rewritten = apply(inside.model.proto, CANONICAL)[0]
    paints = [
        painter(source, runner(graph))
        for source, graph in (
            (outside, outside.model.proto),
            (inside, inside.model.proto),
            (inside, rewritten),
        )
    ]
    image = noise_pixels(outside)
    assert paints[0](image).dtype == paints[1](image).dtype == np.uint8
    assert paints[1](image).shape == image.shape
    assert np.ptp(paints[0](image)) > 20
    assert grey_levels(paints[0], paints[1], [image]) <= 1
    assert grey_levels(paints[0], paints[2], [image]) <= 1


def test_names_and_types_of_the_ends():
    proto = normalise(generator())
    wrapped = wrap(proto, PixelFormat((-1, 1), (-1, 1)))
    onnx.checker.check_model(wrapped, full_check=True)
    (taken,), (given,) = input_info(wrapped), output_info(wrapped)
    assert (taken.name, given.name) == ("image", "picture")
    assert taken.shape == given.shape == [1, 24, 24, 3]
    assert taken.dtype == given.dtype == np.uint8
    assert input_info(proto)[0].dtype == np.float32


def test_the_scale_vanishes_into_the_first_layer_and_the_offset_stays_under_padding():
    for low, left in ((0.0, {"Mul": 0, "Add": 0}), (-1.0, {"Mul": 0, "Add": 1})):
        wrapped = wrap(normalise(generator()), PixelFormat((low, 1.0), (0.0, 1.0)))
        before, _ = apply(wrapped, CANONICAL)
        first = [node.op_type for node in before.graph.node]
        first = first[: first.index("Conv")]
        assert {op: first.count(op) for op in left} == left


def test_half_precision_and_other_inputs(tmp_path):
    proto = generator()
    for tensor in proto.graph.initializer:
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    style = onnx.helper.make_tensor_value_info("style", TensorProto.FLOAT16, [1, 8, 1, 1])
    proto.graph.input.append(style)
    place, second = next((i, n) for i, n in enumerate(proto.graph.node) if n.name == "conv2")
    second.input[0] = "styled"
    mixed = onnx.helper.make_node("Add", ["norm1.relu", "style"], ["styled"], "mix")
    proto.graph.node.insert(place, mixed)
    onnx.save(proto, tmp_path / "m.onnx")
    flags = replace(UNIT, feeds={"style": "normal"})
    source, out = resolve(str(tmp_path / "m.onnx"), flags), tmp_path / "out.onnx"
    assert export(source, out, Device.of(), ExportSettings(pixel_io=True)).difference <= 1 / 255
    taken = {info.name: info.dtype for info in input_info(resolve(str(out)).model.proto)}
    assert taken == {"image": np.uint8, "style": np.float16}
    folder = write_photos(tmp_path / "photos")
    verdict = check(resolve(str(out)), source, folder, Device.of(), Tolerances(min_psnr_db=45))
    assert verdict.failures == []


def test_dynamic_axes_are_closed_with_a_warning(tmp_path, caplog):
    model = write_dynamic_generator(tmp_path / "m.onnx")
    source = resolve(str(model), UNIT, {"image": [1, 3, 24, 24]})
    export(source, tmp_path / "out.onnx", Device.of(), ExportSettings(pixel_io=True))
    assert "takes images of one size" in caplog.text
    assert input_info(resolve(str(tmp_path / "out.onnx")).model.proto)[0].shape == [1, 24, 24, 3]


def test_what_it_refuses(tmp_path):
    source = resolve(str(write_generator(tmp_path / "m.onnx")), UNIT)
    with pytest.raises(BadInputError, match="takes and gives pixels already"):
        with_pixel_io(with_pixel_io(source))
    with pytest.raises(BadInputError, match="--input-range LOW,HIGH"):
        with_pixel_io(resolve(str(tmp_path / "m.onnx")))
    features = resolve(str(write_generator(tmp_path / "four.onnx", channels=4)), UNIT)
    features.known["layout"] = "nchw"
    with pytest.raises(BadInputError, match="input has 4 channels"):
        with_pixel_io(features)


def test_an_exported_file_is_checked_from_bytes_to_bytes(tmp_path):
    source = resolve(str(write_generator(tmp_path / "m.onnx")), UNIT)
    out = tmp_path / "out.onnx"
    exported = export(source, out, Device.of(), ExportSettings(pixel_io=True))
    assert exported.difference <= 1 / 255
    assert exported.to_dict()["bytes_to_bytes_ms"].keys() == {"outside", "inside"}
    stamped = read_stamp(onnx.load(out))
    assert stamped["pixel_io"] is True
    assert stamped["pixels"]["input_range"] == [0, 1]
    # Flags describe the reference; what the file has inside they cannot change.
    candidate = resolve(str(out), PixelFlags((-1.0, 1.0), (-1.0, 1.0), "nchw", "bgr"))
    assert candidate.require_pixels() == BYTES
    folder = write_photos(tmp_path / "photos")
    unsaid = resolve(str(tmp_path / "m.onnx"))
    verdict = check(candidate, unsaid, folder, Device.of(), Tolerances(min_ssim=0.99))
    assert verdict.failures == []
    assert verdict.to_dict()["latency_from_bytes"] is True


def test_sizes_of_a_file_with_pixels_must_agree_too(tmp_path):
    small = resolve(str(write_generator(tmp_path / "a.onnx")), UNIT)
    large = resolve(str(write_generator(tmp_path / "b.onnx", size=28)), UNIT)
    folder = write_photos(tmp_path / "photos")
    with pytest.raises(BadInputError, match=r"takes 1x24x24x3, but .*b\.onnx takes 1x3x28x28"):
        check(with_pixel_io(small), large, folder, Device.of(), Tolerances())


def test_a_file_with_pixels_inside_stays_one_when_it_is_exported_again(tmp_path):
    source = with_pixel_io(resolve(str(write_generator(tmp_path / "m.onnx")), UNIT))
    assert export(source, tmp_path / "again.onnx", Device.of()).from_bytes is None
    assert resolve(str(tmp_path / "again.onnx")).pixel_io
