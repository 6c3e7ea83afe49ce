"""What a recipe or the command line declares to feed an input beside the image."""

import math
from collections.abc import Collection, Mapping, Sequence

from decig.errors import BadInputError

Declared = Mapping[str, str | float]
"""What feeds the inputs beside the image, by name: one of `DRAWN`, `FILES`, or a constant."""

NORMAL, UNIFORM, ZEROS = DRAWN = ("normal", "uniform", "zeros")
"""Drawn anew for every picture, from a seed: standard normal, uniform between -1 and 1; and zeros,
which need no draw."""
FILES = "files"
"""Read from `photo.npy` for `photo.png`, from `photo.npz`, where the array has the input's name, or
from images as `decig.data.companions` finds them.

The file lies beside the photo, in whatever sub-folder that is. `files:LOW,HIGH` says which values
black and white of such images are; without it, they are those of the photo."""

WAYS = f"{', '.join(DRAWN)}, {FILES}, {FILES}:LOW,HIGH or a number"
"""What may feed an input; several numbers with commas between them are taken, too."""


def declare(name: str, way: object) -> str | float:
    """Check what a recipe or the command line says feeds one input.

    Args:
        name: of the input.
        way: what is said.

    Returns:
        The entry of `Declared`: a number that was written as a text becomes a number.

    Raises:
        BadInputError: this cannot feed an input.
    """
    if isinstance(way, str) and (way in DRAWN or from_files(way)):
        stated_range(way, name)
        return way
    if isinstance(way, str) and "," in way and numbers(way):
        return way
    try:
        number = math.nan if isinstance(way, bool) else float(way)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadInputError(f"input {name} cannot be fed {way!r}; use {WAYS}")
    return number


def numbers(way: str | float) -> list[float]:
    """Numbers that an entry of `Declared` feeds, one or one for each element; none where it draws.

    Several are written with commas between them, as in 1,3,256,256.
    """
    if not isinstance(way, str):
        return [way]
    try:
        found = [float(part) for part in way.split(",")]
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) else []


def from_files(way: str | float) -> bool:
    """Whether an entry of `Declared` says that files feed the input."""
    return isinstance(way, str) and way.partition(":")[0] == FILES


def stated_range(way: str | float, name: str) -> tuple[float, float] | None:
    """Return the values of black and white that an entry states, as in `files:0,1`; or None.

    Raises:
        BadInputError: what it states is no range.
    """
    _, colon, text = str(way).partition(":")
    if not colon:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadInputError(f"input {name} cannot be fed {way!r}: write {FILES}:0,1 or the like")
    return low, high


def require_inputs(declared: Collection[str], inputs: Sequence[str]) -> None:
    """Check that everything declared is one of a model's inputs.

    Raises:
        BadInputError: it is none; names the inputs that there are.
    """
    if strange := sorted(set(declared) - set(inputs)):
        raise BadInputError(
            f"{strange[0]} is declared to be fed, but the model's inputs are {', '.join(inputs)}"
        )
