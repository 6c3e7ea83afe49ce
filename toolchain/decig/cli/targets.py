"""What `decig compress` is to reach: one target, or several, which get a folder each."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from decig.cli.process import flag, one_of
from decig.cli.values import MACS, latencies, macs, speedups

OPTIONS = ("target_latency", "target_speedup", "target_macs")
"""Parameters that name a target; they exclude each other."""


def target_options(function: Any) -> Any:
    """The options that name targets; the command gets `OPTIONS`, each a tuple of numbers."""
    for option in reversed(
        (
            click.option(
                "--target-latency",
                type=latencies,
                metavar="20ms",
                help="Latency on the device. Several (20ms,10ms) make a folder each, RUN/20ms and "
                "RUN/10ms.",
            ),
            click.option(
                "--target-speedup",
                type=speedups,
                metavar="4",
                help="How many times faster than MODEL. Several (2,4,8) make a folder each, "
                "RUN/2x, RUN/4x and RUN/8x, and share whatever they can: cost table, scores, the "
                "teacher's pictures.",
            ),
            click.option(
                "--target-macs",
                type=macs,
                metavar="2G",
                help="Multiply-accumulates, or a share of MODEL's (0.25), for no device: nothing "
                "is profiled or measured. Several make a folder each.",
            ),
        )
    ):
        function = option(function)
    return function


def asked_targets(asked: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Read which targets are asked for.

    Args:
        asked: the parameters of the command.

    Returns:
        Parameter and number by the name of each target, the slowest first; none where no target
        is named.

    Raises:
        click.UsageError: they are of several kinds, or one is named twice.
    """
    given = one_of(dict(asked), *OPTIONS)
    if given is None:
        return {}
    numbers: Sequence[float] = asked[given]
    ordered = sorted(numbers, reverse=given != "target_speedup")
    if given == "target_macs":  # a share of 0.5 may be more or less than a number
        shares = [number for number in ordered if number < 1]
        if shares and len(shares) < len(ordered):
            raise click.UsageError("--target-macs: give shares of MODEL's (0.5,0.25), or numbers.")
    named = {_name(given, number): (given, number) for number in ordered}
    if len(named) < len(ordered):
        names = [_name(given, number) for number in ordered]
        twice = next(name for name in names if names.count(name) > 1)
        raise click.UsageError(f"{flag(given)}: {twice} is named twice.")
    return named


def wanted_ms(parameter: str, number: float, as_it_is_ms: float) -> float:
    """Turn a target into what a goal counts: milliseconds, or millions of multiply-accumulates.

    Args:
        parameter: that named it, one of `OPTIONS`.
        number: its number.
        as_it_is_ms: the whole model's, in the same unit.
    """
    if parameter == "target_latency":
        return number
    if parameter == "target_speedup":
        return as_it_is_ms / number
    return as_it_is_ms * number if number < 1 else number / 1e6


def _name(parameter: str, number: float) -> str:
    """Name of a target and of its folder."""
    if parameter == "target_latency":
        return f"{number:g}ms"
    if parameter == "target_speedup":
        return f"{number:g}x"
    unit = next((unit for unit, size in MACS.items() if number >= size), "")
    return f"{number / MACS[unit]:g}{unit}macs" if unit else f"{number:g}macs"
