"""Which input of a model takes the image, and which of its outputs is the picture."""

from collections.abc import Collection, Sequence

import onnx

from decig.data.pixels import PixelFormat, channels_of_order
from decig.errors import BadInputError
from decig.graph.model import ValueInfo, input_info, output_info

_SMALLEST_IMAGE = 8
"""Side in pixels from which on an input of three or five axes looks like an image."""
_NO_COLOURS = 2
"""Rank of what has neither the channels of a colour image nor those of a grey one."""


class AmbiguousPortError(BadInputError):
    """Several inputs could be the image, or several outputs the picture, and nothing says which.

    Attributes:
        key: "image" or "picture", the field of `PixelFormat` that would say it.
        names: of those that it could be.
    """

    def __init__(self, key: str, candidates: Sequence[ValueInfo]) -> None:
        kind = {"image": "inputs", "picture": "outputs"}[key]
        shown = ", ".join(f"{info.name} ({sizes(info)})" for info in candidates)
        super().__init__(f"several {kind} could be the {key}: {shown}; say which one it is")
        self.key, self.names = key, [info.name for info in candidates]


def find_image(
    proto: onnx.ModelProto,
    pixels: PixelFormat | None = None,
    declared: Collection[str] = (),
    named: str | None = None,
) -> ValueInfo | None:
    """Return the input that takes an image; None if no input is shaped like a batch of images.

    Of several candidates it is the one that is named or, where `pixels` says that label maps are
    fed one-hot, one with one channel per label; otherwise the first with 3 channels, then with 1,
    then with any number.

    Args:
        proto: the model.
        pixels: its pixel format, where that is known.
        declared: inputs that something else feeds, so that they are no candidates.
        named: the input that is the image, where `pixels` is not known but this is.
    """
    return next(iter(_images(proto, pixels, declared, named)), None)


def image_input(
    proto: onnx.ModelProto, pixels: PixelFormat | None = None, declared: Collection[str] = ()
) -> ValueInfo:
    """Return the input that takes an image, as `find_image` does.

    Raises:
        AmbiguousPortError: several inputs could be the image.
        BadInputError: no input takes an image.
    """
    image = only_image(proto, pixels, declared)
    if image is None:
        shown = ", ".join(f"{i.name} {sizes(i)}" for i in input_info(proto))
        raise BadInputError(f"the model takes {shown or 'nothing'}; images can feed no input of it")
    return image


def only_image(
    proto: onnx.ModelProto, pixels: PixelFormat | None, declared: Collection[str]
) -> ValueInfo | None:
    """Return what `find_image` does; AmbiguousPortError if several inputs could be the image."""
    return _only("image", _images(proto, pixels, declared, None))


def find_picture(
    proto: onnx.ModelProto, pixels: PixelFormat | None = None, named: str | None = None
) -> ValueInfo:
    """Return the output that is the picture: the first, if none is shaped like a picture.

    Of several it is the one that is named; otherwise the first with the channels of a colour
    image, then with 1, then with any number.

    Args:
        proto: the model.
        pixels: its pixel format, where that is known.
        named: the output that is the picture, where `pixels` is not known but this is.
    """
    return (_pictures(proto, pixels, named) or output_info(proto))[0]


def output_image(proto: onnx.ModelProto, pixels: PixelFormat | None = None) -> ValueInfo:
    """Return the output that is the picture, as `find_picture` does.

    Raises:
        AmbiguousPortError: several outputs could be the picture: those in colour or, where none is,
            the grey ones. (Beside a picture in colour, a grey output is a mask or a map.)
    """
    return _only("picture", _pictures(proto, pixels, None)) or output_info(proto)[0]


def picture_output(proto: onnx.ModelProto, pixels: PixelFormat | None = None) -> int:
    """Return the place of the output that is the picture; errors as in `output_image`."""
    picture = output_image(proto, pixels)
    return [info.name for info in output_info(proto)].index(picture.name)


def paints(proto: onnx.ModelProto, pixels: PixelFormat | None, order: str | None = None) -> bool:
    """Whether some output has the shape and the channels of a picture: encoders have none.

    Args:
        proto: the model.
        pixels: its pixel format, where that is known.
        order: its channel order, where `pixels` is not known but this is.
    """
    shown = [info for info in output_info(proto) if _is_picture(info) and _area(info) > 1]
    return any(_rank(info, pixels, order) < _NO_COLOURS for info in shown)


def other_pictures(proto: onnx.ModelProto, pixels: PixelFormat, smallest: int) -> list[ValueInfo]:
    """Return all outputs but the picture that have the shape of one.

    Args:
        proto: the model.
        pixels: its pixel format.
        smallest: side in pixels that they must have at least.
    """
    picture = output_image(proto, pixels).name
    return [
        info
        for info in output_info(proto)
        if info.name != picture
        and _is_picture(info)
        and _rank(info, pixels) < _NO_COLOURS
        and min(pixels.size_of(info.shape)) >= smallest
    ]


def require_ports(proto: onnx.ModelProto, image: str | None, picture: str | None) -> None:
    """Check that the named image is an input and the named picture an output.

    Raises:
        BadInputError: one of them is not, or has not the shape of one; names those that there are.
    """
    for key, name, kind, infos in (
        ("image", image, "inputs", input_info(proto)),
        ("picture", picture, "outputs", output_info(proto)),
    ):
        found = {info.name: info for info in infos}
        if name is None:
            continue
        if name not in found or not _is_picture(found[name]):
            known = ", ".join(f"{info.name} ({sizes(info)})" for info in infos)
            raise BadInputError(f"{name} cannot be the {key}: the model's {kind} are {known}")


def almost_image(info: ValueInfo) -> str | None:
    """Say why images cannot feed an input that has the sizes of one; None for all other inputs."""
    if info.dtype.kind not in "fuV" or len(info.shape) not in (3, 5):
        return None
    colours = [axis for axis, size in enumerate(info.shape) if size in (1, 3)]
    if len(info.shape) == 3:
        sides = [size for axis, size in enumerate(info.shape) if axis not in colours[:1]]
        if colours and colours[0] in (0, 2) and min(sides) >= _SMALLEST_IMAGE:
            return "looks like an image without a batch axis: export the model with one"
        return None
    frames = 3 in info.shape[1:] and sorted(info.shape)[-2] >= _SMALLEST_IMAGE
    return "looks like several frames: images feed inputs of four axes alone" if frames else None


def sizes(info: ValueInfo) -> str:
    """Write a shape as people do: 1x3x256x256."""
    return "x".join(map(str, info.shape)) or "one number"


def _images(
    proto: onnx.ModelProto,
    pixels: PixelFormat | None,
    declared: Collection[str],
    named: str | None,
) -> list[ValueInfo]:
    """Inputs that could be the image, all equally well."""
    named = named or (None if pixels is None else pixels.image)
    if named is not None:
        return [info for info in input_info(proto) if info.name == named]
    inputs = [i for i in input_info(proto) if _is_picture(i) and i.name not in declared]
    labels = None if pixels is None else pixels.labels
    if labels is not None and labels.one_hot:
        fitting = [i for i in inputs if labels.count in (i.shape[1], i.shape[3])]
        if fitting:
            return fitting
    return _best(inputs, pixels)


def _pictures(
    proto: onnx.ModelProto, pixels: PixelFormat | None, named: str | None
) -> list[ValueInfo]:
    """Outputs that could be the picture, all equally well."""
    named = named or (None if pixels is None else pixels.picture)
    outputs = output_info(proto)
    if named is not None:
        return [info for info in outputs if info.name == named]
    return _best([info for info in outputs if _is_picture(info)], pixels)


def _best(infos: list[ValueInfo], pixels: PixelFormat | None) -> list[ValueInfo]:
    """Those of the lowest rank; without colours, the first alone: none of them is an image.

    Four axes whose first is not 1 need the channels of an image to be taken for a batch of them.
    """
    infos = [i for i in infos if i.shape[0] == 1 or _rank(i, pixels) < _NO_COLOURS]
    least = min((_rank(info, pixels) for info in infos), default=_NO_COLOURS)
    best = [info for info in infos if _rank(info, pixels) == least]
    if least == _NO_COLOURS:
        return best[:1]
    return [info for info in best if _area(info) > 1] or best


def _only(key: str, candidates: list[ValueInfo]) -> ValueInfo | None:
    if len(candidates) > 1:
        raise AmbiguousPortError(key, candidates)
    return candidates[0] if candidates else None


def _is_picture(info: ValueInfo) -> bool:
    return len(info.shape) == 4 and info.dtype.kind in "fuV"  # V: bfloat16


def _rank(info: ValueInfo, pixels: PixelFormat | None, order: str | None = None) -> int:
    """Return 0 for the channels of a colour image, 1 for grey, `_NO_COLOURS` for others."""
    axes = (1, 3) if pixels is None else (1 if pixels.layout == "nchw" else 3,)
    found = {info.shape[axis] for axis in axes}
    known = set(channels_of_order(order if pixels is None else pixels.channel_order))
    if found & (known - {1}):
        return 0
    return 1 if 1 in found else _NO_COLOURS


def _area(info: ValueInfo) -> int:
    """Height times width, in the layout that the channels show."""
    _, first, second, last = info.shape
    return second * last if first in (1, 3) else first * second
