"""A model together with what is known of how it is fed, as every command works on it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from decig.data.declared import Declared, from_files, require_inputs
from decig.data.feeds import Inputs, UnfedInputError
from decig.data.inputs import Pictures
from decig.data.pixels import BYTES, PixelFormat, channels_of_order
from decig.data.ports import (
    AmbiguousPortError,
    find_image,
    find_picture,
    only_image,
    output_image,
    paints,
    require_ports,
)
from decig.device.run.fingerprint import Fingerprint
from decig.errors import BadInputError
from decig.graph.model import Model, ValueInfo, input_info, output_info
from decig.source.stamp import pixels_entry

log = logging.getLogger(__name__)

_FEW = 16
"""Channels that an axis must hold at most to be told from height and width by its size."""


_QUESTIONS = (AmbiguousPortError, UnfedInputError)
"""Errors that ask which input or output is meant, or what feeds an input."""


@dataclass(frozen=True)
class Source:
    """A model, and how it is fed.

    Attributes:
        model: its graph in normal form.
        known: fields of the pixel format that are known, from flags, a recipe, a run, or the stamp
            in the file.
        origin_sha256: digest of the file that the model was made from: of the run's teacher, or
            of the model itself.
        run: folder of the run of `decig compress` that MODEL is; None of other models.
        images: folder of the images that the run was trained on; None where there is none.
        pixel_io: whether the graph itself turns bytes into its pixel format and back, as
            `decig export --pixel-io` makes it; that format is then `known`.
        feeds: what feeds its inputs beside the image.
        device: of the cost table that the run was planned with; None of other models.
    """

    model: Model
    known: dict[str, Any]
    origin_sha256: str
    run: Path | None = None
    images: Path | None = None
    pixel_io: bool = False
    feeds: Declared = field(default_factory=dict)
    device: Fingerprint | None = None

    @property
    def pixels(self) -> PixelFormat | None:
        """The pixel format; None while a part of it is not known."""
        if self.pixel_io:
            labels, image, picture = map(self.known.get, ("labels", "image", "picture"))
            return replace(BYTES, labels=labels, image=image, picture=picture)
        return None if self._missing() else PixelFormat(**self._filled())

    @property
    def inner_pixels(self) -> PixelFormat:
        """The pixel format inside of a graph that takes bytes, which outputs but the picture have.

        Raises:
            BadInputError: as in `require_pixels`.
        """
        return PixelFormat(**self.known) if self.pixel_io else self.require_pixels()

    def require_pixels(self) -> PixelFormat:
        """Return the pixel format.

        Raises:
            BadInputError: a part of it is not known; names the flags that would say it.
        """
        pixels = self.pixels
        if pixels is None:
            raise BadInputError(self.unsaid)
        return pixels

    @property
    def unsaid(self) -> str:
        """What of the pixel format is not known, and the flags that would say it; empty if none."""
        if self.pixels is not None:
            return ""
        flags = " ".join(self._missing())
        return f"{self.model.path} does not say what its pixels are: give {flags}"

    @property
    def questions(self) -> list[str]:
        """What nobody knows of how the model is fed but whoever made it, with the flags to say it.

        All of it, so that nobody is asked again for what could have been asked at once.
        """
        found = [self.unsaid] if self.unsaid else []
        guesses = {"input_range": (0.0, 1.0), "output_range": (0.0, 1.0), "channel_order": "rgb"}
        known = guesses | self._filled()
        if self.pixel_io or "layout" not in known:
            return found
        # What stands for the values of pixels changes nothing in which input is the image.
        guessed = replace(self, known=known)
        while True:  # every question names another input or output, so there is an end
            try:
                guessed.require_feeds()
                guessed.picture()
            except BadInputError as error:
                asks = error if isinstance(error, _QUESTIONS) else error.__cause__
                if isinstance(asks, AmbiguousPortError):
                    guessed = replace(guessed, known=guessed.known | {asks.key: asks.names[0]})
                elif isinstance(asks, UnfedInputError):
                    guessed = replace(guessed, feeds={**guessed.feeds, asks.name: "zeros"})
                else:
                    return found
                found.append(str(error))
            else:
                return found

    def require_image(self) -> None:
        """Check that an image can feed the input that takes one, where there is such an input.

        Raises:
            BadInputError: it has other channels, or several inputs could be the image; names the
                flags that could explain it.
        """
        pixels = self.require_pixels()
        try:
            image = only_image(self.model.proto, pixels, self.feeds)
        except AmbiguousPortError as error:
            raise _which(error) from error
        if image is None:
            return
        channels = pixels.channels_of(image.shape)
        try:
            pixels.require_input(channels)
        except BadInputError as error:
            raise BadInputError(f"{error}{_hint(pixels, image.name, channels)}") from error

    def require_feeds(self) -> None:
        """Check that images, and what is declared to be fed, can feed every input.

        Raises:
            BadInputError: they cannot; names the flags that say what feeds an input.
        """
        self.require_image()
        try:
            Inputs.of(self.model.proto, self.require_pixels(), self.feeds)
        except UnfedInputError as error:
            if error.image_like:
                raise
            raise BadInputError(
                f"{error}, as in --feed {error.name}=normal or under [feeds] in a recipe"
            ) from error

    def picture(self) -> ValueInfo:
        """Return the output that is the picture.

        Raises:
            BadInputError: several outputs could be, and nothing says which; names the flag.
        """
        try:
            return output_image(self.model.proto, self.require_pixels())
        except AmbiguousPortError as error:
            raise _which(error) from error

    @property
    def paints(self) -> bool:
        """Whether some output is shaped like a picture: encoders have none."""
        return paints(self.model.proto, self.pixels, self.known.get("channel_order"))

    def require_picture(self) -> None:
        """Check that the model makes one picture.

        Raises:
            BadInputError: as in `picture`, or it makes none; says what it makes instead.
        """
        self.require_pixels().require_output(self.picture().shape)

    def require_ports(self) -> None:
        """Check the names of image and picture; BadInputError names the inputs or outputs."""
        require_ports(self.model.proto, self.known.get("image"), self.known.get("picture"))

    def require_known_feeds(self) -> None:
        """Check that whatever is declared to be fed is an input; BadInputError names these."""
        require_inputs(self.feeds, [info.name for info in input_info(self.model.proto)])

    @property
    def needs_folder(self) -> bool:
        """Whether a folder must feed the model: it takes an image, or values from files."""
        return self.image is not None or any(map(from_files, self.feeds.values()))

    @property
    def image(self) -> ValueInfo | None:
        """The input that takes an image; None where none does."""
        return find_image(self.model.proto, self.pixels, self.feeds, self.known.get("image"))

    def pictures(self, folder: Path | None, limit: int | None = None) -> Pictures:
        """Return the images of a folder as this model takes them.

        Raises:
            BadInputError: as `require_feeds`, or the folder is missing or empty.
        """
        self.require_feeds()
        pixels, image = self.require_pixels(), self.image
        if image is not None and image.shape[0] > 1:
            one = ",".join(map(str, [1, *image.shape[1:]]))
            log.warning(
                "input %s takes %d images at once, and every image fills such a batch; "
                "--input-shape %s:%s makes it one",
                *(image.name, image.shape[0], image.name, one),
            )
        return Pictures(folder, self.model.proto, pixels, declared=self.feeds, limit=limit)

    def entries(self) -> dict[str, Any]:
        """Return what stamps a file that is made from this model; see `decig.source.stamp`."""
        return {
            "source_sha256": self.origin_sha256,
            "pixels": pixels_entry(self.inner_pixels if self.pixel_io else self.pixels),
            "pixel_io": self.pixel_io or None,
            "feeds": dict(self.feeds) or None,
        }

    def borrow(self, other: "Source") -> "Source":
        """Return this model with what only `other` knows of pixel format and feeds.

        Where an input or output of the other model has a name that this one lacks, what is said of
        it is for the input or output in the same place here.
        """
        inputs, outputs = _places(self, other, input_info), _places(self, other, output_info)
        feeds = {inputs.get(n, n): way for n, way in {**other.feeds, **self.feeds}.items()}
        known = other.known | {k: v for k, v in self.known.items() if v is not None}
        for key, places in (("image", inputs), ("picture", outputs)):
            if known.get(key) is not None:
                known[key] = places.get(known[key], known[key])
        return replace(self, known=known, feeds=feeds)

    def fixed(self) -> "Source":
        """Return the model with static axes: it takes no other sizes than those it was read at."""
        return replace(self, model=replace(self.model, axes=None))

    def _missing(self) -> list[str]:
        filled = self._filled()
        flags = {
            "input_range": "--input-range LOW,HIGH (0,255 or 0,1 or -1,1)",
            "output_range": "--output-range LOW,HIGH",
            "layout": "--layout nchw|nhwc",
            "channel_order": "--channel-order rgb|bgr (or rgba, bgra, lab)",
        }
        return [flag for name, flag in flags.items() if name not in filled]

    def _filled(self) -> dict[str, Any]:
        """Add to `known` what the shapes of the model show beyond doubt.

        A model that takes no image needs no input range, and its picture shows the layout. One
        that makes no picture needs no output range.
        """
        filled, proto = dict(self.known), self.model.proto
        labels = filled.get("labels")
        counts = channels_of_order(filled.get("channel_order"))
        colours = (labels.count,) if labels is not None and labels.one_hot else counts
        image = find_image(proto, None, self.feeds, filled.get("image"))
        if image is None and self.feeds:
            filled.setdefault("input_range", (-1.0, 1.0))
            image, colours = find_picture(proto, None, filled.get("picture")), counts
        shape = [] if image is None else image.shape
        if "layout" not in filled and len(shape) == 4:
            layouts = {"nchw": shape[1], "nhwc": shape[3]}
            fitting = [name for name, size in layouts.items() if size in colours]
            if not fitting:  # four or six channels, say, beside sides of hundreds of pixels
                sides = sorted(shape[1:])[1]
                fitting = [n for n, size in layouts.items() if size <= _FEW and 2 * size < sides]
            if len(fitting) == 1:
                filled["layout"] = fitting[0]
        if len(shape) == 4 and shape[3 if filled.get("layout") == "nhwc" else 1] == 1:
            filled.setdefault("channel_order", "rgb")
        if not paints(proto, None, filled.get("channel_order")):
            filled.setdefault("output_range", (0.0, 1.0))
        return filled


def _hint(pixels: PixelFormat, name: str, channels: int) -> str:
    """What could explain that the image input has other channels than images have."""
    if pixels.labels is not None:
        return ""
    hint = f" If it takes label maps, give --one-hot {channels} or --one-hot RRGGBB,..."
    if channels == 4:
        hint += "; if RGB and alpha, --channel-order rgba or bgra"
    elif channels > 3 and channels % 3 == 0:
        hint += (
            f"; if {channels // 3} pictures stacked, --feed {name}=files:LOW,HIGH reads "
            f"NAME.{name}.1.png, NAME.{name}.2.png, ..."
        )
    return hint


def _which(error: AmbiguousPortError) -> BadInputError:
    """Name the flags and the key that say which input is the image, or output the picture."""
    feed = f" (or what feeds the other: --feed {error.names[-1]}=HOW)"
    return BadInputError(
        f"{error}: --{error.key} {error.names[0]}{feed if error.key == 'image' else ''}, "
        f"in a recipe pixels.{error.key}"
    )


def _places(
    ours: Source, theirs: Source, describe: Callable[[onnx.ModelProto], list[ValueInfo]]
) -> dict[str, str]:
    """Names of inputs or outputs that only the other model has, with ours in the same places."""
    here, there = ([info.name for info in describe(s.model.proto)] for s in (ours, theirs))
    return {b: a for a, b in zip(here, there, strict=False) if b not in here}
