"""What decig writes into a model's `metadata_props`, so that the file can answer for itself.

Keys start with `decig.`; every value is JSON. `decig.pixels` lets later commands feed the file
without being told its pixel format again.
"""

import dataclasses
import json
from typing import Any

import onnx

from decig import __version__
from decig.data.labels import Labels
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.files import json_text

_PREFIX = "decig."


def stamp(proto: onnx.ModelProto, entries: dict[str, Any]) -> None:
    """Write the decig version and `entries` (JSON values by short key) into `proto` itself.

    Entries of other programs stay; decig's own of the same key are replaced. Entries that are
    None are left out.
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
    """Return what `stamp` wrote, by short key; empty for a file that decig did not make."""
    found = {}
    for prop in proto.metadata_props:
        if prop.key.startswith(_PREFIX):
            try:
                found[prop.key.removeprefix(_PREFIX)] = json.loads(prop.value)
            except ValueError as error:
                raise BadInputError(f"metadata {prop.key} is not valid JSON: {error}") from error
    return found


def pixels_entry(pixels: PixelFormat | None) -> dict[str, Any] | None:
    """Return the JSON object for the key `pixels`."""
    if pixels is None:
        return None
    return {key: value for key, value in dataclasses.asdict(pixels).items() if value is not None}


def pixels_from(entry: dict[str, Any] | None) -> PixelFormat | None:
    """Read what `pixels_entry` made.

    Raises:
        BadInputError: an unknown or missing key, or a value that means nothing.
    """
    if entry is None:
        return None
    try:
        ranges = {key: tuple(entry[key]) for key in ("input_range", "output_range")}
        labels = entry.get("labels")
        if labels is not None:
            labels = Labels(**(labels | {"palette": tuple(map(tuple, labels.get("palette", [])))}))
        return PixelFormat(**(entry | ranges | {"labels": labels}))
    except (AttributeError, KeyError, TypeError) as error:
        raise BadInputError(f"not a pixel format: {entry}") from error
