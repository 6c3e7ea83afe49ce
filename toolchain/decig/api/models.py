"""Models as the other functions take them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from decig.data.declared import declare
from decig.data.labels import COLOURS, ONE_HOT, parse_labels
from decig.device.cost.table import CostTable
from decig.errors import BadInputError
from decig.source.both import resolve_both
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.source.source import Source

Given = str | Path | Source
"""A model: what `load` takes, or what it returned."""
File = str | Path


def load(
    model: str | Path,
    *,
    input_range: tuple[float, float] | None = None,
    output_range: tuple[float, float] | None = None,
    layout: Literal["nchw", "nhwc"] | None = None,
    channel_order: Literal["rgb", "bgr", "rgba", "bgra", "lab"] | None = None,
    one_hot: str | None = None,
    palette: str | None = None,
    image: str | None = None,
    picture: str | None = None,
    feeds: Mapping[str, str | float] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    weights: File | None = None,
    batch_statistics: bool | None = None,
    fixed_size: bool = False,
) -> Source:
    """Read a model, and what is known of how it is fed.

    Args:
        model: an ONNX file, `file.py:Name` or `package.module:Name` (PyTorch code), the folder of
            a recipe or of a run, or the path of one of their files.
        input_range: values of black and white in the image that it takes.
        output_range: values of black and white in the picture that it makes.
        layout: axes of that image and picture.
        channel_order: colours of that image and picture.
        one_hot: it takes label maps with one channel per label, whose files hold so many ids
            ("12"), or labels in these colours ("0000de,0030ff,...").
        palette: it takes label maps as pictures in these colours.
        image: the input that takes the image, where several could.
        picture: the output that is the picture, where several could be.
        feeds: what feeds other inputs: "normal", "uniform", "zeros", "files" or a number, by name.
        input_shapes: full shapes of inputs with dynamic axes, and of PyTorch code; a model with
            one input may have it under the name "".
        weights: trained weights for PyTorch code.
        batch_statistics: whether batch norms of PyTorch code use the statistics of each picture.
        fixed_size: make dynamic axes static.

    Raises:
        BadInputError: there is no usable model.
    """
    if one_hot and palette:
        raise BadInputError("one_hot and palette exclude each other")
    text = one_hot or palette
    flags = PixelFlags(
        input_range,
        output_range,
        layout,
        channel_order,
        parse_labels(text, ONE_HOT if one_hot else COLOURS) if text else None,
        {name: declare(name, way) for name, way in (feeds or {}).items()},
        image,
        picture,
    )
    shapes = {name: list(shape) for name, shape in (input_shapes or {}).items()}
    source = resolve(str(model), flags, shapes, as_path(weights), batch_statistics=batch_statistics)
    source.require_known_feeds()
    source.require_ports()
    return source.fixed() if fixed_size else source


def as_sources(candidate: Given, reference: Given) -> tuple[Source, Source]:
    """Read two models that are compared: their inputs may have different names."""
    if isinstance(candidate, Source) or isinstance(reference, Source):
        return as_source(candidate), as_source(reference)
    return resolve_both(str(candidate), str(reference))


def as_source(model: Given) -> Source:
    """The model itself, read where it was named; errors as in `load`."""
    return model if isinstance(model, Source) else load(model)


def require_apart(output: File, *models: Source) -> None:
    """Refuse to write a result over a model that it is made of.

    Raises:
        BadInputError: the output is the file of one of the models, or of its run.
    """
    for model in models:
        if Path(output).resolve() == Path(model.model.path).resolve():
            raise BadInputError(f"{output}: this is the model itself: name another file to write")


def as_table(table: CostTable | File) -> CostTable:
    """The cost table itself, read where its file was named."""
    return table if isinstance(table, CostTable) else CostTable.load(Path(table))


def as_path(file: File | None) -> Path | None:
    """The path of a file or folder, where one was named."""
    return None if file is None else Path(file)
