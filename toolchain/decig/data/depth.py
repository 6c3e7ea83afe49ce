"""Bringing images of every bit depth to 8 bits: Pillow clips wide greys instead of scaling them."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

# tifffile logs every damaged tag; what matters of a damaged file is raised.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_BITS, _SAMPLE_FORMAT, _PHOTOMETRIC = 258, 339, 262
"""Tags of TIFF (TIFF 6.0, section 8): bits per sample, what they mean, and which end is black."""
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
"""Values of the tag SampleFormat."""
_FORMS = {"u": _UNSIGNED, "i": _SIGNED, "f": _FLOAT}
"""The same by the kind of a numpy type."""
_WHITE_IS_ZERO = 0
"""Value of the tag PhotometricInterpretation for greys whose zero is white."""


class UnknownScaleError(ValueError):
    """It cannot be known which values of an image are black and white."""


@dataclass(frozen=True)
class Depth:
    """How an image stores a grey.

    Attributes:
        bits: per value.
        form: unsigned, signed or float, as TIFF numbers them.
        inverted: whether zero is white.
    """

    bits: int
    form: int = _UNSIGNED
    inverted: bool = False

    @property
    def white(self) -> float:
        """The value of white; of black where `inverted`."""
        if self.form == _FLOAT:
            return 1.0
        return float(2 ** (self.bits - (self.form == _SIGNED)) - 1)


def depth_of(image: Image.Image) -> Depth | None:
    """Return how an image that was just opened stores its greys.

    None where Pillow brings it to 8 bits by itself: images of up to 8 bits, and all with colours,
    of which it keeps the upper 8 bits.

    Raises:
        UnknownScaleError: the format does not say how many bits its values have.
    """
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        form = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0]
        inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        depth = Depth(tags.get(_BITS, (1,))[0], form, inverted)
        return depth if _wide(image) or (image.mode == "L" and form == _SIGNED) else None
    if not _wide(image):
        return None
    if image.format == "PNG":
        return Depth(16)
    raise UnknownScaleError(f"{image.format} does not say which values are black and white")


def to_eight_bits(image: Image.Image, depth: Depth) -> Image.Image:
    """Scale a grey image to 8 bits.

    Args:
        image: of one channel, in the mode in which Pillow opened it.
        depth: how it stores its values.

    Raises:
        UnknownScaleError: it has values below black, above white, or that are no numbers.
    """
    raw = np.array(image)
    if depth.form == _UNSIGNED and depth.bits == 32:
        raw = raw.view(np.uint32)  # Pillow has no unsigned mode of 32 bits
    if depth.form == _SIGNED and depth.bits == 8:
        raw = raw.view(np.int8)
    return _scaled(raw, depth)


def read_tiff(path: Path) -> Image.Image:
    """Read a TIFF that Pillow does not know: colours that are signed or floats, doubles.

    Raises:
        UnknownScaleError: as in `to_eight_bits`, or it is no image of one, three or four channels.
        DecompressionBombError: it says that it is larger than any image that Pillow would read.
        ValueError: it is damaged, or compressed in a way that tifffile does not know.
    """
    import tifffile  # takes a quarter of a second

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        if Image.MAX_IMAGE_PIXELS and page.size > 2 * Image.MAX_IMAGE_PIXELS:  # as Pillow counts
            raise Image.DecompressionBombError(f"its {page.size} values are too many")
        values, axes, inverted = page.asarray(), page.axes, page.photometric == _WHITE_IS_ZERO
    if axes == "SYX":
        values, axes = values.transpose(1, 2, 0), "YXS"
    if axes not in ("YX", "YXS") or values.dtype.kind not in _FORMS:
        raise UnknownScaleError(f"holds {axes} of {values.dtype}, which is no image: convert it")
    depth = Depth(page.bitspersample, _FORMS[values.dtype.kind], inverted)
    return _scaled(values, depth)


def _scaled(raw: np.ndarray, depth: Depth) -> Image.Image:
    """Make an image of 8 bits out of values H,W or H,W,C."""
    values = raw.astype(np.float64)
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= depth.white:  # NaN fails every comparison
        kind = "floats" if depth.form == _FLOAT else f"{depth.bits} bits"
        raise UnknownScaleError(
            f"its {kind} go from {low:g} to {high:g}, and black and white are only known to be "
            f"0 and {depth.white:g}: convert it"
        )
    share = values / depth.white
    return Image.fromarray(np.round(255 * (1 - share if depth.inverted else share)).astype("u1"))


def _wide(image: Image.Image) -> bool:
    """Whether an image has one channel of more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")
