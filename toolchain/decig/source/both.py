"""The MODEL arguments of a comparison: a model, and the one that it is compared with."""

from pathlib import Path

from decig.errors import BadInputError
from decig.graph.model import input_info
from decig.graph.prepare import UnknownInputError
from decig.source.flags import PixelFlags
from decig.source.resolve import Shapes, resolve
from decig.source.source import Source


def resolve_both(
    candidate: str,
    reference: str,
    flags: PixelFlags | None = None,
    input_shapes: Shapes | None = None,
    weights: Path | None = None,
    *,
    batch_statistics: bool | None = None,
) -> tuple[Source, Source]:
    """Find and read a model and the one that it is compared with.

    Their inputs may have different names. A shape may be given by the name in either model, and
    is for the input in the same place in the other one.

    Args:
        candidate: the one, as the user wrote it.
        reference: the other one.
        flags: as for `resolve`.
        input_shapes: as for `resolve`, by the names of either model's inputs.
        weights: trained weights for the reference.
        batch_statistics: as for `resolve`, of the reference.

    Raises:
        BadInputError: as for `resolve`, or neither model has an input of that name.
    """
    shapes = input_shapes or {}

    def read(text: str, weights: Path | None, own: bool | None) -> Source | UnknownInputError:
        try:
            return resolve(text, flags, shapes, weights, batch_statistics=own)
        except BadInputError as error:
            if isinstance(error.__cause__, UnknownInputError):
                return error.__cause__
            raise

    ours, theirs = read(candidate, None, None), read(reference, weights, batch_statistics)
    names = [_input_names(each) for each in (ours, theirs)]
    if isinstance(ours, UnknownInputError):
        ours = resolve(candidate, flags, _renamed(shapes, *names))
    if isinstance(theirs, UnknownInputError):
        theirs = resolve(
            reference,
            flags,
            _renamed(shapes, *names[::-1]),
            weights,
            batch_statistics=batch_statistics,
        )
    return ours, theirs


def _input_names(found: Source | UnknownInputError) -> list[str]:
    """Names of a model's inputs, in order, whether or not it could be read."""
    if isinstance(found, UnknownInputError):
        return found.inputs
    return [info.name for info in input_info(found.model.proto)]


def _renamed(shapes: Shapes, ours: list[str], theirs: list[str]) -> Shapes:
    """Shapes by our names of inputs; one by their name is for the input in the same place here.

    What is given by our own name counts first.
    """
    places = dict(zip(theirs, ours, strict=False))
    by_place = {places.get(name, name): shapes[name] for name in shapes if name not in ours}
    return by_place | {name: shapes[name] for name in shapes if name in ours}
