"""Options that several commands share, and the kinds of value they take."""

import math
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from decig.data.labels import Labels

Command = Callable[..., Any]

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Number(click.FloatRange):
    """A number within bounds; nan, which is within any, is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        """Read it; click.BadParameter if it is none or out of bounds."""
        number: float = super().convert(value, param, context)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number.", param, context)
        return number


FILE = FOLDER = click.Path(path_type=Path)
POSITIVE = Number(min=0, min_open=True)
BUDGET_S = 1200.0
"""Training time of compress where nothing is said."""


def latency(text: str) -> float:
    """Read a latency such as 20ms, in milliseconds; click.BadParameter without a unit."""
    return _quantity(text, _MILLISECONDS, "20ms")


def time_budget(text: str) -> float:
    """Read a time such as 20m, in seconds; click.BadParameter without a unit."""
    return _quantity(text, _SECONDS, "20m")


def _quantity(text: str, units: dict[str, float], example: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)", text.strip())
    if match is None or not float(match[1]):
        raise click.BadParameter(f"{text!r} is not a positive time; write it like {example}")
    if match[2] not in units:
        known = ", ".join(units)
        raise click.BadParameter(f"{text!r} needs a unit ({known}); write it like {example}")
    return float(match[1]) * units[match[2]]


def value_range(text: str) -> tuple[float, float]:
    """Read two numbers, low before high, such as 0,255."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not two numbers, as in 0,255 or -1,1") from error
    if not (math.isfinite(low) and math.isfinite(high)):
        raise click.BadParameter(f"{text!r} is not two numbers, as in 0,255 or -1,1")
    if not low < high:
        raise click.BadParameter(f"{text!r}: the lower number comes first")
    return low, high


def input_shape(text: str) -> tuple[str, list[int]]:
    """Read NAME:1,3,256,256; the name may hold colons."""
    name, _, shape = text.rpartition(":")
    if not name or not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", shape):
        raise click.BadParameter(f"{text!r}; write it like NAME:1,3,256,256")
    return name, [int(size) for size in shape.split(",")]


def setting(text: str) -> tuple[str, str]:
    """Read KEY=VALUE."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise click.BadParameter(f"{text!r}; write it like KEY=VALUE")
    return key, value


def one_of(asked: dict[str, Any], *names: str) -> str | None:
    """Return which of these options was given; click.UsageError for more than one."""
    given = [name for name in names if asked[name] is not None]
    if len(given) > 1:
        flags = " and ".join("--" + name.replace("_", "-") for name in given)
        raise click.UsageError(f"{flags} exclude each other.")
    return given[0] if given else None


def output_file(text: str) -> Path:
    """Read the path of a file to write: a missing folder should not cost the user minutes first."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise click.BadParameter(f"{text!r}: its folder is not there, or it is a folder itself")
    return path


def source_options(*, pixels: bool) -> Callable[[Command], Command]:
    """MODEL and what it leaves open; the command gets `source`, a `decig.source.resolve.Source`.

    Args:
        pixels: whether the command has a use for MODEL's pixel format.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(
            model: str,
            input_shapes: list[tuple[str, list[int]]],
            weights: Path | None,
            fixed_size: bool,
            **rest: Any,
        ) -> Any:
            from decig.source.resolve import PixelFlags, resolve

            flags = rest.pop("flags") if pixels else PixelFlags()
            source = resolve(model, flags, dict(input_shapes), weights)
            return command(source=source.fixed() if fixed_size else source, **rest)

        described = weights_option(input_shape_option(pixel_options(run) if pixels else run))
        sized = click.option(
            "--fixed-size",
            is_flag=True,
            help="Close MODEL's dynamic axes: faster rewrites, a file for one size.",
        )(described)
        return click.argument("model")(sized)

    return decorate


def input_shape_option(command: Command) -> Command:
    """--input-shape; the command gets `input_shapes`, pairs of name and sizes."""
    return click.option(
        "--input-shape",
        "input_shapes",
        type=input_shape,
        metavar="NAME:1,3,256,256",
        multiple=True,
        help="Shape of an input whose axes are dynamic, or of PyTorch code.",
    )(command)


def weights_option(command: Command) -> Command:
    """--weights; the command gets `weights`, a path or None."""
    return click.option(
        "--weights", type=FILE, help="Trained weights, where the model is PyTorch code."
    )(command)


def pixel_options(command: Command) -> Command:
    """What pixels the model wants, where no file says it; the command gets `flags`."""

    @wraps(command)
    def run(
        input_range: tuple[float, float] | None,
        output_range: tuple[float, float] | None,
        layout: str | None,
        channel_order: str | None,
        one_hot: str | None,
        palette: str | None,
        feeds: list[tuple[str, str]],
        **rest: Any,
    ) -> Any:
        from decig.source.resolve import PixelFlags

        flags = PixelFlags(
            input_range,
            output_range,
            layout,
            channel_order,
            _labels(one_hot, palette),
            _feeds(feeds),
        )
        return command(flags=flags, **rest)

    return _apply(
        run,
        click.option(
            "--input-range",
            type=value_range,
            metavar="LOW,HIGH",
            help="Values of black and white in its input.",
        ),
        click.option(
            "--output-range", type=value_range, metavar="LOW,HIGH", help="The same in its output."
        ),
        click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Axes of its tensors."),
        click.option("--channel-order", type=click.Choice(["rgb", "bgr"]), help="Its colours."),
        click.option(
            "--one-hot",
            metavar="N|COLOURS",
            help="It takes label maps, a channel a label: N ids, or colours RRGGBB,RRGGBB,...",
        ),
        click.option(
            "--palette",
            metavar="COLOURS",
            help="It takes label maps as pictures in these colours, RRGGBB,RRGGBB,...",
        ),
        click.option(
            "--feed",
            "feeds",
            type=setting,
            metavar="INPUT=HOW",
            multiple=True,
            help="What goes in beside the image: normal, uniform, zeros, a number, or files "
            "(NAME.npy or NAME.npz for NAME.png).",
        ),
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
    from decig.data.feeds import declare

    return {name: declare(name, way) for name, way in said}


def device_options(command: Command) -> Command:
    """Where models run; the command gets `device`, a `decig.device.run.device.Device`."""

    @wraps(command)
    def run(ep: str, ep_options: list[tuple[str, str]], threads: int, **rest: Any) -> Any:
        from decig.device.run.device import Device

        return command(device=Device.of(ep, dict(ep_options), threads), **rest)

    positive = click.IntRange(min=1)
    return _apply(
        run,
        click.option("--ep", default="cpu", help="Execution provider: cpu (default), cuda, ..."),
        click.option(
            "--ep-option",
            "ep_options",
            type=setting,
            metavar="KEY=VALUE",
            multiple=True,
            help="Its options.",
        ),
        click.option("--threads", default=1, type=positive, help="Intra-op threads; 1 by default."),
    )


def output_option(what: str) -> Callable[[Command], Command]:
    """-o; `what` describes the file."""
    return click.option(
        "-o", "--output", type=output_file, metavar="FILE", required=True, help=what
    )


force_option = click.option(
    "--force", is_flag=True, help="Take a cost table of another device; nothing is measured then."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


def _apply(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    for decorate in reversed(decorators):
        command = decorate(command)
    return command
