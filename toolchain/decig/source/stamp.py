"""What decig writes into a model's `metadata_props`, so that the file can answer for itself.

Keys start with `decig.`; every value is JSON. `decig.pixels` lets later commands feed the file
without being told its pixel format again.
"""

import contextlib
import dataclasses
import json
from typing import Any

import msgspec
import onnx

from decig import __version__
from decig.data.declared import Declared, declare
from decig.data.pixels import PixelFormat
from decig.device.run.fingerprint import Fingerprint
from decig.errors import BadInputError
from decig.files import json_text
from decig.schema import convert

_PREFIX = "decig."


def stamp(proto: onnx.ModelProto, entries: dict[str, Any]) -> None:
    """Write the version of decig and other entries into the metadata of a model.

    Entries of other programs stay; those of decig with the same key are replaced.

    Args:
        proto: the model, which is changed.
        entries: JSON values by short key; those that are None are left out.
    """
    written = {"version": __version__} | entries
    props = {prop.key: prop.value for prop in proto.metadata_props}
    props |= {
        _PREFIX + key: json_text(value, separators=(",", ":"))
        for key, value in written.items()
        if value is not None
    }
    onnx.helper.set_model_props(proto, props)


def read_stamp(proto: onnx.ModelProto) -> dict[str, Any]:
    """Return what `stamp` wrote, by short key; nothing for a file that decig did not make.

    Raises:
        BadInputError: an entry is not valid JSON.
    """
    found = {}
    for prop in proto.metadata_props:
        if prop.key.startswith(_PREFIX):
            try:
                found[prop.key.removeprefix(_PREFIX)] = json.loads(prop.value)
            except ValueError as error:
                raise BadInputError(f"metadata {prop.key} is not valid JSON: {error}") from error
    return found


def stamped_device(proto: onnx.ModelProto) -> Fingerprint | None:
    """The device that a file was exported for; None where no stamp of this version says it."""
    with contextlib.suppress(BadInputError):
        return convert(read_stamp(proto).get("device"), Fingerprint, "stamp")
    return None


class _Rewrites(msgspec.Struct, frozen=True):
    kept: list[str] = []


class Rewritten(msgspec.Struct, frozen=True):
    """What a stamp says of the rewrites of an exported file.

    Attributes:
        macs: multiply-accumulates of the file.
        macs_before: those of the graph before it was rewritten; None in files of an older decig.
        rewrites: the rewrites; those that were kept are there because they measured faster.
    """

    macs: int = 0
    macs_before: int | None = None
    rewrites: _Rewrites = _Rewrites()

    @property
    def note(self) -> str:
        """Why the file has more multiply-accumulates than before; empty where it has not."""
        before, names = self.macs_before, ", ".join(self.rewrites.kept)
        if before is None or self.macs <= before or not names:
            return ""
        return f"{before:,} before export, which rewrote it for speed ({names})"


def stamped_rewrites(proto: onnx.ModelProto) -> Rewritten:
    """How a file was rewritten when it was exported; nothing where no stamp says it."""
    with contextlib.suppress(BadInputError):
        return convert(read_stamp(proto).get("figures", {}), Rewritten, "stamp")
    return Rewritten()


def pixels_entry(pixels: PixelFormat | None) -> dict[str, Any] | None:
    """Return a pixel format as the JSON object of a stamp; None where it is not known."""
    if pixels is None:
        return None
    return {key: value for key, value in dataclasses.asdict(pixels).items() if value is not None}


class Known(msgspec.Struct, frozen=True):
    """What a stamped file, or a run, says of how its model is fed; other entries are not read.

    Attributes:
        pixels: the pixel format; None where nothing says it.
        pixel_io: whether the graph itself turns bytes into that format and back.
        feeds: how inputs beside the image are fed.
    """

    pixels: PixelFormat | None = None
    pixel_io: bool = False
    feeds: dict[str, str | float] = {}

    @property
    def format(self) -> dict[str, Any]:
        """The fields of the pixel format, by name."""
        return {} if self.pixels is None else self.pixels.fields()

    @property
    def declared(self) -> Declared:
        """The feeds, checked; BadInputError where one is no way to feed an input."""
        return {name: declare(name, way) for name, way in self.feeds.items()}


def read_known(proto: onnx.ModelProto, where: str) -> Known:
    """Read from a stamp how a model is fed.

    Args:
        proto: the model; nothing is known of one that has no stamp.
        where: what errors begin with, such as the name of its file.

    Raises:
        BadInputError: the stamp is damaged.
    """
    try:
        entries = read_stamp(proto)
    except BadInputError as error:
        raise BadInputError(f"{where}: {error}") from error
    fields = {key: entries[key] for key in Known.__struct_fields__ if key in entries}
    return convert(fields, Known, where, strict=True)
