"""What the command lines of all contests have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
from contest import Contest
from goals import Effort, Target, Teacher
from jobs import BENCHMARKS
from options import numbers, pixel_flags

from decig.cli.values import EXISTING_FILE, FOLDER, value_range
from decig.source.flags import PixelFlags


@dataclass(frozen=True)
class Given:
    """What the command line of a contest says, whatever is compared.

    Attributes:
        targets: multiples of the teacher's speed.
        effort: of each compression.
        at_once: trainings beside each other.
        config: settings of compress; None for those that decig has.
        table: cost table of the teacher; None where it is to be profiled.
        judge_only: whether nothing is trained.
        timing_seconds: for the final timing.
        out: folder of all runs.
        results: folder of tables and sheets.
    """

    targets: Sequence[float]
    effort: Effort
    at_once: int
    config: Path | None
    table: Path | None
    judge_only: bool
    timing_seconds: float
    out: Path
    results: Path

    def contest(self, teacher: Teacher, methods: Sequence[str], **more: Any) -> Contest:
        """The contest that is asked for; `more` are further attributes of it, or other ones."""
        asked: dict[str, Any] = {
            "targets": [Target(times, "x") for times in self.targets],
            "effort": self.effort,
            "at_once": self.at_once,
            "out": self.out,
            "config": self.config,
            "table": self.table,
        }
        return Contest(teacher=teacher, methods=methods, **asked | more)

    def require_one_table(self, models: Sequence[Path]) -> None:
        """Check that a cost table that is given is of all models, which only one can be.

        Raises:
            click.UsageError: there are several models.
        """
        if self.table is not None and len(models) > 1:
            raise click.UsageError("--profile is the cost table of one model: give one --model.")


def teacher_of(model: Path, said: PixelFlags, images: Path) -> Teacher:
    """The teacher that the command line names.

    Args:
        model: an ONNX file, or a recipe, which says itself what its pixels are.
        said: of the pixels of ONNX files; bytes in RGB where nothing says it.
        images: folder of the images that it is fed in training.

    Raises:
        DecigError: the model cannot be read.
    """
    flags = pixel_flags(model, said) if model.suffix == ".onnx" else PixelFlags()
    return Teacher(model.resolve(), flags, images.resolve())


def pixel_options(function: Callable[..., None]) -> Callable[..., None]:
    """What the pixels of ONNX files are; the command gets `said`."""
    options = (
        click.option("--input-range", type=value_range, help="Of ONNX files; 0,255 if unsaid."),
        click.option("--output-range", type=value_range, help="Of ONNX files; 0,255 if unsaid."),
        click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Of ONNX files."),
        click.option("--channel-order", help="Of ONNX files; rgb if unsaid."),
    )

    @wraps(function)
    def run(
        input_range: tuple[float, float] | None,
        output_range: tuple[float, float] | None,
        layout: str | None,
        channel_order: str | None,
        **rest: Any,
    ) -> None:
        function(said=PixelFlags(input_range, output_range, layout, channel_order), **rest)

    return _with(options, run)


def _with(
    options: Sequence[Callable[..., Any]], function: Callable[..., None]
) -> Callable[..., None]:
    for option in reversed(options):
        function = option(function)
    return function


def contest_options(
    targets: str, minutes: float, timing_seconds: float
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options of a contest; the command gets `given`.

    Args:
        targets: default of --targets.
        minutes: default of --minutes.
        timing_seconds: default of --timing-seconds.
    """
    options = (
        click.option("--targets", callback=numbers, default=targets, help="Times faster."),
        click.option("--minutes", type=float, default=minutes, help="Budget of each compression."),
        click.option("--steps", type=click.IntRange(1), help="Steps of training, not minutes."),
        click.option("--jobs", type=click.IntRange(1), default=2, help="Trainings at once."),
        click.option("--config", type=EXISTING_FILE, help="Settings of compress, for all methods."),
        click.option(
            "--profile", type=EXISTING_FILE, help="Cost table; the teacher is profiled without."
        ),
        click.option("--judge-only", is_flag=True, help="Train nothing; judge what is finished."),
        click.option(
            "--timing-seconds",
            type=float,
            default=timing_seconds,
            help="For the final timing.",
        ),
        click.option(
            "--out", type=FOLDER, required=True, help="Runs; kept, so that they can go on."
        ),
        click.option(
            "--results", type=FOLDER, default=BENCHMARKS / "results", help="Table and sheets."
        ),
    )

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def run(
            targets: list[float],
            minutes: float,
            steps: int | None,
            jobs: int,
            config: Path | None,
            profile: Path | None,
            judge_only: bool,
            timing_seconds: float,
            out: Path,
            results: Path,
            **rest: Any,
        ) -> None:
            given = Given(
                targets,
                Effort(minutes, steps),
                jobs,
                config and config.resolve(),
                profile and profile.resolve(),
                judge_only,
                timing_seconds,
                out.resolve(),
                results.resolve(),
            )
            function(given=given, **rest)

        return _with(options, run)

    return decorate
