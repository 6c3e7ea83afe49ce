"""A model together with what is known of how it is fed, as every command works on it."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from decig.data.feeds import (
    FILES,
    Declared,
    Inputs,
    UnfedInputError,
    find_image,
    output_image,
    require_inputs,
)
from decig.data.inputs import Pictures
from decig.data.labels import Labels
from decig.data.pixels import BYTES, PixelFormat
from decig.errors import BadInputError
from decig.graph.model import Model, ValueInfo, input_info
from decig.source.stamp import pixels_entry

_COLOUR_CHANNELS = (1, 3)


@dataclass(frozen=True)
class PixelFlags:
    """What the command line says of how a model is fed.

    Attributes:
        input_range: as in `PixelFormat`; None where nothing is said, here and below.
        output_range: as in `PixelFormat`.
        layout: as in `PixelFormat`.
        channel_order: as in `PixelFormat`.
        labels: as in `PixelFormat`.
        feeds: what feeds the inputs beside the image.
    """

    input_range: tuple[float, float] | None = None
    output_range: tuple[float, float] | None = None
    layout: str | None = None
    channel_order: str | None = None
    labels: Labels | None = None
    feeds: Declared = field(default_factory=dict)

    def known(self) -> dict[str, Any]:
        """Return what is said of the pixel format, by the name of its field."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {k: v for k, v in said.items() if v is not None and k != "feeds"}


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
    """

    model: Model
    known: dict[str, Any]
    origin_sha256: str
    run: Path | None = None
    images: Path | None = None
    pixel_io: bool = False
    feeds: Declared = field(default_factory=dict)

    @property
    def pixels(self) -> PixelFormat | None:
        """The pixel format; None while a part of it is not known."""
        if self.pixel_io:
            return replace(BYTES, labels=self.known.get("labels"))
        return None if self._missing() else PixelFormat(**self._filled())

    def require_pixels(self) -> PixelFormat:
        """Return the pixel format.

        Raises:
            BadInputError: a part of it is not known; names the flags that would say it.
        """
        pixels = self.pixels
        if pixels is None:
            raise BadInputError(
                f"{self.model.path} does not say what its pixels are: give "
                f"{' '.join(self._missing())}"
            )
        return pixels

    def require_image(self) -> None:
        """Check that an image can feed the input that takes one, where there is such an input.

        Raises:
            BadInputError: it has other channels; names the flags that could explain them.
        """
        pixels, image = self.require_pixels(), self.image
        if image is None:
            return
        channels = pixels.channels_of(image.shape)
        try:
            pixels.require_input(channels)
        except BadInputError as error:
            flags = f"--one-hot {channels} or --one-hot RRGGBB,..."
            hint = "" if pixels.labels else f" If it takes label maps, give {flags}"
            raise BadInputError(f"{error}{hint}") from error

    def require_feeds(self) -> None:
        """Check that images, and what is declared to be fed, can feed every input.

        Raises:
            BadInputError: they cannot; names the flags that say what feeds an input.
        """
        self.require_image()
        try:
            Inputs.of(self.model.proto, self.require_pixels(), self.feeds)
        except UnfedInputError as error:
            raise BadInputError(
                f"{error}, as in --feed {error.name}=normal or under [feeds] in a recipe"
            ) from error

    def require_picture(self) -> None:
        """Check that the model makes a picture; BadInputError says what it makes instead."""
        self.require_pixels().require_output(output_image(self.model.proto).shape)

    def require_known_feeds(self) -> None:
        """Check that whatever is declared to be fed is an input; BadInputError names these."""
        require_inputs(self.feeds, [info.name for info in input_info(self.model.proto)])

    @property
    def needs_folder(self) -> bool:
        """Whether a folder must feed the model: it takes an image, or values from files."""
        return self.image is not None or FILES in self.feeds.values()

    @property
    def image(self) -> ValueInfo | None:
        """The input that takes an image; None where none does."""
        return find_image(self.model.proto, self.pixels, self.feeds)

    def pictures(self, folder: Path | None, limit: int | None = None) -> Pictures:
        """Return the images of a folder as this model takes them.

        Raises:
            BadInputError: as `require_feeds`, or the folder is missing or empty.
        """
        self.require_feeds()
        pixels = self.require_pixels()
        return Pictures(folder, self.model.proto, pixels, declared=self.feeds, limit=limit)

    def entries(self) -> dict[str, Any]:
        """Return what stamps a file that is made from this model; see `decig.source.stamp`."""
        return {
            "source_sha256": self.origin_sha256,
            "pixels": pixels_entry(PixelFormat(**self.known) if self.pixel_io else self.pixels),
            "pixel_io": self.pixel_io or None,
            "feeds": dict(self.feeds) or None,
        }

    def borrow(self, other: "Source") -> "Source":
        """Return this model with what only `other` knows of pixel format and feeds.

        Where the other model's input has a name that this one lacks, its feed is for the input
        in the same place here.
        """
        ours, theirs = ([i.name for i in input_info(s.model.proto)] for s in (self, other))
        places = {b: a for a, b in zip(ours, theirs, strict=False) if b not in ours}
        feeds = {places.get(n, n): way for n, way in {**other.feeds, **self.feeds}.items()}
        return replace(self, known=other.known | self.known, feeds=feeds)

    def fixed(self) -> "Source":
        """Return the model with static axes: it takes no other sizes than those it was read at."""
        return replace(self, model=replace(self.model, axes=None))

    def _missing(self) -> list[str]:
        filled = self._filled()
        flags = {
            "input_range": "--input-range LOW,HIGH (0,255 or 0,1 or -1,1)",
            "output_range": "--output-range LOW,HIGH",
            "layout": "--layout nchw|nhwc",
            "channel_order": "--channel-order rgb|bgr",
        }
        return [flag for name, flag in flags.items() if name not in filled]

    def _filled(self) -> dict[str, Any]:
        """Add to `known` what the shapes of the model show beyond doubt.

        A model that takes no image needs no input range, and its picture shows the layout.
        """
        filled = dict(self.known)
        labels = filled.get("labels")
        colours = [labels.count] if labels is not None and labels.one_hot else _COLOUR_CHANNELS
        image = find_image(self.model.proto, None, self.feeds)
        if image is None and self.feeds:
            filled.setdefault("input_range", (-1.0, 1.0))
            image, colours = output_image(self.model.proto), _COLOUR_CHANNELS
        shape = [] if image is None else image.shape
        if "layout" not in filled and len(shape) == 4:
            layouts = {"nchw": shape[1], "nhwc": shape[3]}
            fitting = [name for name, size in layouts.items() if size in colours]
            if len(fitting) == 1:
                filled["layout"] = fitting[0]
        if len(shape) == 4 and shape[3 if filled.get("layout") == "nhwc" else 1] == 1:
            filled.setdefault("channel_order", "rgb")
        return filled
