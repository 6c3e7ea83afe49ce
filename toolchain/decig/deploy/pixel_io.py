"""Graphs that take and give the bytes of image files, as `decig export --pixel-io` makes them.

Both ends become uint8 N,H,W,3 in RGB, the layout that image libraries read and write. With
s = (high - low) / 255 for the input's range, and t for the output's:

    in     transpose, channel order, cast, x = (p + low / s) * s
    out    p = floor(clip(y / t - low / t + 1/2, 0, 255)), cast, channel order, transpose

Bytes are transposed before they become floats, and after floats have become bytes, which moves a
quarter of the memory. The arithmetic is written as plain nodes here; the rewrites `scale_into_conv`
and `affine_into_layer` fold it into the first and the last layer where that is exact.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from decig.data.feeds import Feeds, as_numbers
from decig.data.inputs import other_feeds
from decig.data.pixels import LUMA, PixelFormat
from decig.data.ports import image_input, output_image, picture_output
from decig.errors import BadInputError
from decig.graph.branches import rename
from decig.graph.model import ValueInfo, infer_shapes
from decig.source.source import Source

log = logging.getLogger(__name__)

Runner = Callable[[Feeds], list[np.ndarray]]

_TO_PLANES, _TO_PIXELS = [0, 3, 1, 2], [0, 2, 3, 1]
_WHITE = 255


def with_pixel_io(source: Source) -> Source:
    """Return the source as a model that takes and gives bytes, of one size.

    Inputs and outputs keep their names.

    Raises:
        BadInputError: it takes bytes already, its pixel format is not known, or it does not turn
            an image into a picture.
    """
    if source.pixel_io:
        raise BadInputError(f"{source.model.path} takes and gives pixels already: no --pixel-io")
    if source.model.axes is not None:
        log.warning("--pixel-io: the written file takes images of one size")
    pixels = source.require_pixels()
    source.require_image()
    source.picture()
    if pixels.channel_order not in ("rgb", "bgr"):
        order = pixels.channel_order.upper()
        raise BadInputError(f"--pixel-io: {source.model.path} takes {order}: only RGB and BGR can")
    fixed = source.fixed()
    if pixels.labels is not None and pixels.labels.one_hot:
        raise BadInputError(f"--pixel-io: {source.model.path} takes one-hot label maps, no pixels")
    model = replace(fixed.model, proto=wrap(fixed.model.proto, pixels, source.feeds))
    return replace(fixed, model=model, known=pixels.fields(), pixel_io=True)


def wrap(
    proto: onnx.ModelProto, pixels: PixelFormat, declared: Collection[str] = ()
) -> onnx.ModelProto:
    """Put pre- and postprocessing at the ends of a graph in normal form.

    Args:
        proto: the graph.
        pixels: its pixel format.
        declared: names of inputs that take no image.

    Raises:
        BadInputError: the graph does not turn an image of 1 or 3 channels into another.
    """
    taken, result = image_input(proto, pixels, declared), output_image(proto, pixels)
    if len(result.shape) != 4:
        raise BadInputError(f"--pixel-io: the model's output {result.name} is no image")
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(proto)
    graph = wrapped.graph
    channels = [pixels.channels_of(info.shape) for info in (taken, result)]
    for count, side in zip(channels, ("input", "output"), strict=True):
        pixels.check_channels(count, side)
    inner, outer = f"{taken.name}/tensor", f"{result.name}/tensor"
    for node in graph.node:
        rename(node, {taken.name: inner, result.name: outer})
    before, after = _End(taken, inner), _End(result, outer)
    _preprocess(before, pixels, channels[0])
    _postprocess(after, pixels, channels[1])
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    graph.node.extend([*before.nodes, *nodes, *after.nodes])
    graph.initializer.extend([*before.constants, *after.constants])
    for values, info in ((graph.input, taken), (graph.output, result)):
        shape = [info.shape[0], *pixels.size_of(info.shape), 3]
        value = next(value for value in values if value.name == info.name)
        value.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.UINT8, shape))
    del graph.value_info[:]
    return infer_shapes(wrapped)


def painter(source: Source, run: Runner) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from an image to the model's picture of it, both RGB uint8 N,H,W,3.

    Args:
        source: the model; pre- and postprocessing happen outside of it, unless it has them inside.
        run: runs the graph of the model.
    """
    proto, pixels = source.model.proto, source.require_pixels()
    taken, shown = image_input(proto, pixels, source.feeds), picture_output(proto, pixels)
    others = other_feeds(proto, taken.name)
    channels = pixels.channels_of(taken.shape)

    def paint(image: np.ndarray) -> np.ndarray:
        if source.pixel_io:
            return run(others | {taken.name: image})[shown]
        tensor = as_numbers(pixels.to_tensor(image, channels), taken.dtype)
        return pixels.from_tensor(run(others | {taken.name: tensor})[shown])

    return paint


def noise_pixels(source: Source, seed: int = 0) -> np.ndarray:
    """Return a random image of the model's size, RGB uint8 N,H,W,3."""
    shape = image_input(source.model.proto, source.pixels, source.feeds).shape
    size = source.require_pixels().size_of(shape)
    rng = np.random.default_rng(seed)
    return rng.integers(0, _WHITE + 1, (shape[0], *size, 3), np.uint8)


class _End:
    """The nodes added at one end of the graph, each named "<input or output>/<what>".

    Attributes:
        name: of the input or output.
        tensor: name of the value that the model itself takes or gives.
        kind: element type of that value.
        nodes: what is added, in order.
        constants: initializers of those nodes.
    """

    def __init__(self, info: ValueInfo, tensor: str) -> None:
        self.name, self.tensor = info.name, tensor
        self.kind = helper.np_dtype_to_tensor_dtype(info.dtype)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def step(self, op_type: str, what: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        name = f"{self.name}/{what}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def constant(self, what: str, array: Any, kind: type = np.float32) -> str:
        """Add an initializer and return its name."""
        name = f"{self.name}/{what}"
        self.constants.append(numpy_helper.from_array(np.array(array, kind), name))
        return name

    def arithmetic(self, op_type: str, what: str, value: str, factor: float) -> str:
        """Add or multiply by a number, unless that changes nothing."""
        if factor == (0.0 if op_type == "Add" else 1.0):
            return value
        return self.step(op_type, what, value, self.constant(f"{what}_by", factor))

    def reverse(self, value: str, axis: int) -> str:
        """Turn RGB into BGR or back."""
        order = self.constant("order", [2, 1, 0], np.int64)
        return self.step("Gather", "swap", value, order, axis=axis)


def _preprocess(end: _End, pixels: PixelFormat, channels: int) -> None:
    """Turn bytes into what the model takes."""
    planar, value = pixels.layout == "nchw", end.name
    low, high = pixels.input_range
    scale = (high - low) / _WHITE
    if planar or channels == 1:
        value = end.step("Transpose", "planes", value, perm=_TO_PLANES)
    if channels == 3 and pixels.channel_order == "bgr":
        value = end.reverse(value, 1 if planar else 3)
    value = end.step("Cast", "cast", value, to=TensorProto.FLOAT)
    if channels == 1:
        weights = end.constant("luma_of", LUMA.reshape(1, 3, 1, 1))
        value = end.step("Conv", "luma", value, weights)
        if not planar:
            value = end.step("Transpose", "last", value, perm=_TO_PIXELS)
    value = end.arithmetic("Add", "shift", value, low / scale)
    value = end.arithmetic("Mul", "scale", value, scale)
    if end.kind != TensorProto.FLOAT:
        if helper.tensor_dtype_to_np_dtype(end.kind).kind in "iu":
            value = end.step("Round", "nearest", value)
        end.step("Cast", "narrow", value, to=end.kind)
    end.nodes[-1].output[0] = end.tensor


def _postprocess(end: _End, pixels: PixelFormat, channels: int) -> None:
    """Turn what the model gives into bytes."""
    planar, value = pixels.layout == "nchw", end.tensor
    if end.kind != TensorProto.FLOAT:
        value = end.step("Cast", "widen", value, to=TensorProto.FLOAT)
    low, high = pixels.output_range
    scale = (high - low) / _WHITE
    value = end.arithmetic("Mul", "scale", value, 1 / scale)
    # Cast cuts the fraction off, so half a level more rounds.
    value = end.arithmetic("Add", "shift", value, 0.5 - low / scale)
    value = end.step("Clip", "clip", value, end.constant("low", 0), end.constant("high", _WHITE))
    value = end.step("Cast", "cast", value, to=TensorProto.UINT8)
    if channels == 3 and pixels.channel_order == "bgr":
        value = end.reverse(value, 1 if planar else 3)
    if planar:
        value = end.step("Transpose", "pixels", value, perm=_TO_PIXELS)
    if channels == 1:
        end.step("Concat", "grey", value, value, value, axis=3)
    end.nodes[-1].output[0] = end.name
