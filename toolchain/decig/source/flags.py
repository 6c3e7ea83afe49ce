"""What whoever names a model says of how it is fed."""

from dataclasses import dataclass, field, fields
from typing import Any

from decig.data.declared import Declared
from decig.data.labels import Labels


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
        image: as in `PixelFormat`.
        picture: as in `PixelFormat`.
    """

    input_range: tuple[float, float] | None = None
    output_range: tuple[float, float] | None = None
    layout: str | None = None
    channel_order: str | None = None
    labels: Labels | None = None
    feeds: Declared = field(default_factory=dict)
    image: str | None = None
    picture: str | None = None

    def known(self) -> dict[str, Any]:
        """Return what is said of the pixel format, by the name of its field."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {k: v for k, v in said.items() if v is not None and k != "feeds"}
