"""Label maps: what the pixels of their files mean, and how a model takes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from decig.errors import BadInputError

ONE_HOT, COLOURS = ENCODINGS = ("one-hot", "colours")
UNKNOWN = ("refuse", "last", "none")
NO_LABEL = 255
"""Id of a pixel without a label; an id that does not fit into a byte is read as this one."""

_LEAST_SHARE = 0.1
"""Share of a label map's pixels that show a colour of the palette, at least. The label maps of the
CMP facades, blurred by JPEG, have 0.48 to 0.9, their photos below 0.002."""
_CLEAR = 28  # Euclidean distance in RGB; JPEG noise inside flat areas stays below it
_SEVERAL = 6  # of the 25 pixels around; the corner of a label shows 9


@dataclass(frozen=True)
class Labels:
    """What label maps look like as image files, and how a model takes them.

    Whatever its file looks like, a label map is handled as uint8 H,W,3 like any image: in the
    exact colours of the palette, or with the id in all three channels. It is resized without
    blending.

    Attributes:
        palette: the colour of each label, in order, where files show labels as colours.
        ids: number of labels, where files hold the number of each pixel's label, from 0: as the
            grey value, or as the index into a palette of the file itself.
        encoding: "one-hot" feeds one channel per label, which has the upper end of the input range
            at the pixels of that label and the lower end elsewhere; "colours" feeds the colours
            of the palette as if they were those of a photo.
        unknown: what an id that is no label means: "refuse" the file, read it as the "last" label
            (often a "don't know"), or set "none" of the channels at that pixel.
    """

    palette: tuple[tuple[int, ...], ...] = ()
    ids: int = 0
    encoding: str = ONE_HOT
    unknown: str = "refuse"

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            BadInputError: palette and ids are both given or both missing, a colour is not three
                bytes, the encoding is unknown.
        """
        if bool(self.palette) == bool(self.ids):
            raise BadInputError("labels: give one of palette and ids")
        if not 0 <= self.ids <= NO_LABEL:
            raise BadInputError(f"labels: ids is {self.ids}; 1 to {NO_LABEL} labels")
        for colour in self.palette:
            if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
                raise BadInputError(f"labels: {list(colour)} in the palette is no colour of bytes")
        if len(set(self.palette)) < len(self.palette):
            raise BadInputError("labels: two labels of the palette have the same colour")
        for name, value, known in (
            ("encoding", self.encoding, ENCODINGS),
            ("unknown", self.unknown, UNKNOWN),
        ):
            if value not in known:
                raise BadInputError(f"labels: {name} is {value!r}; use one of {', '.join(known)}")
        if self.ids and self.encoding == COLOURS:
            raise BadInputError("labels: ids have no colours to feed; give a palette")
        if self.palette and self.unknown != "refuse":
            raise BadInputError("labels: unknown goes with ids; every colour has a nearest label")

    @property
    def count(self) -> int:
        """Number of labels."""
        return self.ids or len(self.palette)

    @property
    def one_hot(self) -> bool:
        """Whether the model takes one channel per label."""
        return self.encoding == ONE_HOT

    def clean(self, image: np.ndarray, path: Path) -> np.ndarray:
        """Turn what was read from a file into exact labels.

        Args:
            image: uint8 H,W,3, as read.
            path: the file, for messages.

        Returns:
            uint8 H,W,3.

        Raises:
            BadInputError: the file holds an id that is no label, and those are refused.
        """
        if self.palette:
            return snap(image, np.array(self.palette, np.uint8))
        strange = image >= self.ids
        if not strange.any():
            return image
        if self.unknown == "refuse":
            raise BadInputError(
                f"{path}: holds the id {image[strange].min()}, but labels end at {self.ids - 1}; "
                'say what it means with unknown = "last" or "none" in a recipe\'s [pixels.labels]'
            )
        instead = self.ids - 1 if self.unknown == "last" else NO_LABEL
        return np.where(strange, np.uint8(instead), image)

    def require_like(self, image: np.ndarray, path: Path) -> None:
        """Check that an image, as read from a file, may be a label map in these colours.

        Args:
            image: uint8 H,W,3.
            path: the file, for messages.

        Raises:
            BadInputError: hardly a pixel has a colour of the palette, as in a photo.
        """
        if not self.palette:
            return
        share = float((_nearest(image, np.array(self.palette))[1] < _CLEAR**2).mean())
        if share < _LEAST_SHARE:
            raise BadInputError(
                f"{path}: no label map: {share:.1%} of its pixels have a colour of the palette; "
                "is the other side of the data the input (direction)?"
            )

    def to_one_hot(self, images: np.ndarray) -> np.ndarray:
        """Turn clean label maps N,H,W,3 into booleans N,H,W,labels."""
        if self.ids:
            wanted, found = np.arange(self.ids), images[..., 0]
        else:
            wanted = np.array(self.palette, np.int32) @ _PACKED
            found = images.astype(np.int32) @ _PACKED
        hot: np.ndarray = found[..., None] == wanted
        return hot

    def show(self, image: np.ndarray) -> np.ndarray:
        """Make a clean label map visible: ids become greys that are far apart."""
        return image if self.palette else image * np.uint8(max(1, NO_LABEL // self.ids))


_PACKED = np.array([1 << 16, 1 << 8, 1], np.int32)


def parse_labels(text: str, encoding: str = ONE_HOT) -> Labels:
    """Read a number of ids such as 12, or a palette of colours such as 0000de,0030ff.

    Raises:
        BadInputError: it is neither.
    """
    if text.isdecimal() and len(text) < 6 and int(text):
        return Labels(ids=int(text), encoding=encoding)
    colours = text.split(",")
    try:
        parts = [bytes.fromhex(colour.removeprefix("#")) for colour in colours]
    except ValueError:
        parts = [b""]
    if any(len(part) != 3 for part in parts):
        raise BadInputError(
            f"{text!r} is neither a number of labels nor a list of RRGGBB, as in 0000de,0030ff"
        )
    return Labels(tuple(tuple(part) for part in parts), encoding=encoding)


def snap(image: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Give every pixel the nearest colour of `palette` among those around it.

    A blurred border between two labels passes through the colours of others, so that the nearest
    colour alone would draw thin lines of wrong labels there. A pixel may therefore only take a
    label that several pixels around it show clearly; where there is none, it takes the nearest.

    An image that holds nothing but exact colours comes back unchanged.

    Args:
        image: H,W,3 uint8.
        palette: K,3 uint8, the exact colours.

    Returns:
        H,W,3 uint8 holding colours of `palette` only.
    """
    wanted = palette.astype(np.int32) @ _PACKED
    if np.isin(image.astype(np.int32) @ _PACKED, wanted).all():
        return image
    nearest, distance = _nearest(image, palette)
    clear = distance < _CLEAR**2
    labels, least = nearest.copy(), np.full(nearest.shape, np.inf, np.float32)
    # One label after the other: distances to all of them at once would not fit into memory.
    for label, far in enumerate(_distances(image, palette)):
        allowed = _window_sum(clear & (nearest == label)) >= _SEVERAL
        better = allowed & (far < least)
        labels[better], least[better] = label, far[better]
    snapped: np.ndarray = palette.astype(np.uint8)[labels]
    return snapped


def _distances(image: np.ndarray, palette: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distance of every pixel H,W,3 to each colour of a palette, one after the other."""
    pixels = image.astype(np.float32)
    for colour in palette.astype(np.float32):
        yield np.square(pixels - colour).sum(axis=-1)


def _nearest(image: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the nearest colour of every pixel, and the squared distance to it."""
    nearest = np.zeros(image.shape[:2], np.intp)
    least = np.full(image.shape[:2], np.inf, np.float32)
    for label, far in enumerate(_distances(image, palette)):
        better = far < least
        nearest[better], least[better] = label, far[better]
    return nearest, least


def _window_sum(mask: np.ndarray, size: int = 5) -> np.ndarray:
    """Count true pixels in the size x size window around each pixel, borders repeated."""
    height, width = mask.shape
    padded = np.pad(mask.astype(np.uint8), size // 2, mode="edge")
    rows = np.sum([padded[shift : shift + height] for shift in range(size)], axis=0)
    counts: np.ndarray = np.sum([rows[:, shift : shift + width] for shift in range(size)], axis=0)
    return counts
