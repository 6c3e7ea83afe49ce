"""Options that several commands share; each decorator says what the command gets from it."""

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from decig.cli.process import by_name, one_of, require_answers
from decig.cli.values import FILE, Whole, input_shape, output_file, setting, value_range

if TYPE_CHECKING:
    from decig.data.labels import Labels
    from decig.device.run.device import Device
    from decig.source.source import Source

Function = Callable[..., Any]
"""What a command runs."""


Asks = Callable[["Source | None"], list[str]]
"""What else must be asked, of a model or of one that could not be read; see `require_answers`."""


OF_MODEL = (
    "input_shapes",
    "weights",
    "batch_statistics",
    "input_range",
    "output_range",
    "layout",
    "channel_order",
    "one_hot",
    "palette",
    "image",
    "picture",
    "feeds",
)
"""Parameters of `source_options` that say something of MODEL, and of no other."""


def with_options(function: Function, *options: Callable[[Function], Function]) -> Function:
    """Give a command several options, which its help shows in this order."""
    for option in reversed(options):
        function = option(function)
    return function


def source_options(
    *, pixels: bool, untrained: bool = False, asks: Asks | None = None
) -> Callable[[Function], Function]:
    """MODEL and what it leaves open; the command gets `source`, a `decig.source.source.Source`.

    Args:
        pixels: whether the command has a use for the pixel format of MODEL.
        untrained: whether random weights serve where a recipe's model is not trained yet.
        asks: what the command will ask, so that it is asked together with the sizes of MODEL.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def run(
            model: str,
            input_shapes: list[tuple[str, list[int]]],
            weights: Path | None,
            batch_statistics: bool | None,
            fixed_size: bool,
            **rest: Any,
        ) -> Any:
            from decig.source.flags import PixelFlags
            from decig.source.resolve import resolve

            flags = rest.pop("flags") if pixels else PixelFlags(feeds=_feeds(rest.pop("feeds")))
            shapes = by_name("--input-shape", input_shapes)
            source = _sized(
                partial(
                    resolve,
                    model,
                    flags,
                    weights=weights,
                    batch_statistics=batch_statistics,
                    untrained=untrained,
                ),
                shapes,
                asks,
            )
            source.require_known_feeds()
            source.require_ports()
            return function(source=source.fixed() if fixed_size else source, **rest)

        described = code_options(
            input_shape_option(pixel_options(run) if pixels else feed_option(run))
        )
        sized = click.option(
            "--fixed-size",
            is_flag=True,
            help="Make dynamic axes of MODEL static: it takes one size, and more rewrites apply.",
        )(described)
        return click.argument("model")(sized)

    return decorate


def _sized(
    read: Callable[..., "Source"], shapes: dict[str, list[int]], asks: Asks | None
) -> "Source":
    """Read MODEL; where its sizes are not known, ask for them and for all else that is not.

    Args:
        read: reads it at shapes of its inputs, `input_shapes`.
        shapes: those that were given.
        asks: what the command will ask.

    Raises:
        BadInputError: there is no usable model.
        click.UsageError: sizes are not known, and `asks` is given.
    """
    from decig.errors import BadInputError
    from decig.graph.prepare import OpenAxesError

    questions: list[str] = []
    known = dict(shapes)
    while True:
        source = None
        try:
            source = read(input_shapes=known)
        except BadInputError as error:
            open_axes = error.__cause__
            first = isinstance(open_axes, OpenAxesError) and open_axes.name not in known
            if asks is None or not (first or questions):
                raise
            if isinstance(open_axes, OpenAxesError) and first:
                questions.append(str(error))
                known[open_axes.name] = open_axes.shape  # to see what else is not known
                continue
        if questions and asks is not None:
            require_answers(*questions, *asks(source))
        assert source is not None
        return source


def input_shape_option(function: Function) -> Function:
    """--input-shape; the command gets `input_shapes`, pairs of name and sizes."""
    return click.option(
        "--input-shape",
        "input_shapes",
        type=input_shape,
        metavar="[NAME:]1,3,256,256",
        multiple=True,
        help="Shape of an input with dynamic axes, or of an input of PyTorch code; a model with "
        "one input needs no NAME.",
    )(function)


def code_options(function: Function) -> Function:
    """What PyTorch code leaves open; the command gets `weights` and `batch_statistics`.

    Each of them is None where nothing is said.
    """
    return with_options(
        function,
        click.option("--weights", type=FILE, help="Trained weights, where MODEL is PyTorch code."),
        click.option(
            "--batch-statistics/--saved-statistics",
            default=None,
            help="Whether batch norms of PyTorch code use the mean and variance of each picture, "
            "as pix2pix's test.py does, or those saved with the weights (default).",
        ),
    )


def feed_option(function: Function) -> Function:
    """--feed; the command gets `feeds`, pairs of the name of an input and what feeds it."""
    return click.option(
        "--feed",
        "feeds",
        type=setting,
        metavar="INPUT=HOW",
        multiple=True,
        help="What feeds an input other than the image: normal, uniform, zeros, a number (needed "
        "where it sets sizes), or files (NAME.npy or NAME.npz for NAME.png).",
    )(function)


def pixel_options(function: Function) -> Function:
    """What pixels the model takes and gives; the command gets `flags`, a `PixelFlags`.

    Files that decig wrote and recipes say it themselves.
    """

    @wraps(function)
    def run(
        input_range: tuple[float, float] | None,
        output_range: tuple[float, float] | None,
        layout: str | None,
        channel_order: str | None,
        one_hot: str | None,
        palette: str | None,
        image: str | None,
        picture: str | None,
        feeds: list[tuple[str, str]],
        **rest: Any,
    ) -> Any:
        from decig.source.flags import PixelFlags

        flags = PixelFlags(
            input_range,
            output_range,
            layout,
            channel_order,
            _labels(one_hot, palette),
            _feeds(feeds),
            image,
            picture,
        )
        return function(flags=flags, **rest)

    return with_options(
        run,
        click.option(
            "--input-range",
            type=value_range,
            metavar="LOW,HIGH",
            help="Values of black and white in the image that MODEL takes.",
        ),
        click.option(
            "--output-range",
            type=value_range,
            metavar="LOW,HIGH",
            help="Values of black and white in the picture that MODEL makes.",
        ),
        click.option(
            "--layout", type=click.Choice(["nchw", "nhwc"]), help="Axes of that image and picture."
        ),
        click.option(
            "--channel-order",
            type=click.Choice(["rgb", "bgr", "rgba", "bgra", "lab"]),
            help="Colours of that image and picture.",
        ),
        click.option(
            "--one-hot",
            metavar="N|COLOURS",
            help="MODEL takes label maps with one channel per label. Their files hold N ids, or "
            "labels in the colours RRGGBB,RRGGBB,...",
        ),
        click.option(
            "--palette",
            metavar="COLOURS",
            help="MODEL takes label maps as pictures in the colours RRGGBB,RRGGBB,...",
        ),
        click.option(
            "--image", metavar="INPUT", help="The input that takes the image, where several could."
        ),
        click.option(
            "--picture",
            metavar="OUTPUT",
            help="The output that is the picture, where several could be.",
        ),
        feed_option,
    )


def _labels(one_hot: str | None, palette: str | None) -> "Labels | None":
    """What --one-hot or --palette says of label maps."""
    one_of({"one_hot": one_hot, "palette": palette}, "one_hot", "palette")
    text = palette if one_hot is None else one_hot
    if text is None:
        return None
    from decig.data.labels import COLOURS, ONE_HOT, parse_labels

    return parse_labels(text, ONE_HOT if palette is None else COLOURS)


def _feeds(said: list[tuple[str, str]]) -> dict[str, str | float]:
    if not said:
        return {}
    from decig.data.declared import declare

    return {name: declare(name, way) for name, way in by_name("--feed", said).items()}


def device_options(function: Function) -> Function:
    """Where models run; the command gets `device`, a `decig.device.run.device.Device`."""

    @wraps(function)
    def run(ep: str, ep_options: list[tuple[str, str]], threads: int, **rest: Any) -> Any:
        from decig.device.run.device import Device

        given = by_name("--ep-option", ep_options)
        return function(device=Device.of(ep, given, threads), **rest)

    positive = Whole(min=1)
    return with_options(
        run,
        click.option(
            "--ep",
            default="cpu",
            metavar="NAME",
            help="Execution provider: cpu (default), cuda, ...",
        ),
        click.option(
            "--ep-option",
            "ep_options",
            type=setting,
            metavar="KEY=VALUE",
            multiple=True,
            help="An option of the execution provider.",
        ),
        click.option(
            "--threads",
            default=1,
            type=positive,
            metavar="N",
            help="Threads that one run of a model uses; 1 by default.",
        ),
    )


def asked_device(device: "Device") -> "Device | None":
    """The device that options say; None where they all stand at their defaults."""
    context = click.get_current_context()
    sources = (context.get_parameter_source(name) for name in ("ep", "ep_options", "threads"))
    asked = any(each is not ParameterSource.DEFAULT for each in sources)
    return device if asked else None


def output_option(what: str) -> Callable[[Function], Function]:
    """-o; `what` describes the file."""
    return click.option(
        "-o", "--output", type=output_file, metavar="FILE", required=True, help=what
    )


force_option = click.option(
    "--force",
    is_flag=True,
    help="Accept a cost table of another device: latencies are predicted and not measured. "
    "Changes nothing on the table's own device.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else."
)
