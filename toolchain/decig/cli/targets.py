"""What `decig compress` is to reach: one target, or several, which get a folder each."""

import click

from decig.cli.options import Function, with_options
from decig.cli.values import latencies, macs, speedups

OPTIONS = ("target_latency", "target_speedup", "target_macs")
"""Parameters that name a target; they exclude each other."""


def target_options(function: Function) -> Function:
    """The options that name targets; the command gets `OPTIONS`, tuples of numbers or None."""
    return with_options(
        function,
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
