"""What TensorBoard shows of a training: losses, learning rates, seconds per step, sample sheets.

The event files are written by tensorboardX, which needs neither TensorBoard nor TensorFlow.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from decig.extras import require
from decig.training.loop.engine import Engine, News

EVERY = 10
"""Steps between two points of a curve; each is the mean over the steps since the one before."""
_MODULE = "tensorboardX"


def require_events(what: str) -> None:
    """Check that event files can be written.

    Raises:
        BadInputError: tensorboardX is missing; the message names it and the line that installs it.
    """
    require(what, "tensorboard", (_MODULE,))


@contextlib.contextmanager
def logged(
    engine: Engine, folder: Path | None, *, sheets: Path | None = None, before: int = 0
) -> Iterator[None]:
    """Write what an engine reports into event files while the block runs.

    After a resume the curves go on at the step of the saved state; TensorBoard drops what was
    logged of later steps before.

    Args:
        engine: whose `report` is called first, and has written its files when the step is logged.
        folder: of the event files; None logs nothing.
        sheets: folder in which sheets of samples appear, as `step-000123.png`.
        before: steps that were taken before the engine's first one.

    Raises:
        BadInputError: tensorboardX is not installed.
    """
    if folder is None or not engine.processes.main:
        yield
        return
    log, report = _Log(engine, folder, sheets, before), engine.report

    def both(news: News) -> None:
        if report is not None:
            report(news)
        log.report(news)

    engine.report = both
    try:
        yield
        log.add_sheet(engine.step)
    finally:
        engine.report = report
        log.close()


class _Log:
    """The event files of one engine."""

    def __init__(self, engine: Engine, folder: Path, sheets: Path | None, before: int) -> None:
        require_events("a log for TensorBoard")
        self._engine, self._sheets, self._before = engine, sheets, before
        self._step, self._elapsed_s = engine.step, engine.elapsed_s
        self._sums: dict[str, float] = defaultdict(float)
        # What a run had shown at the step from which it goes on, it has logged.
        self._shown = before + engine.step
        purge = before + engine.step + 1 if engine.step else None
        # Files are named by the second; two that begin within one must not be the same.
        suffix = f".{self._shown:09d}"
        # By name: type checkers do not know the package.
        writer = import_module(_MODULE).SummaryWriter
        self._writer: Any = writer(str(folder), purge_step=purge, filename_suffix=suffix)

    def report(self, news: News) -> None:
        """Take note of a step."""
        for name, value in news.losses.items():
            self._sums[name] += value
        if news.step == 1 or news.step % EVERY == 0:
            self._add_point(news)
        self.add_sheet(news.step)

    def _add_point(self, news: News) -> None:
        steps, at = news.step - self._step, self._before + news.step
        for name, total in self._sums.items():
            self._writer.add_scalar(f"loss/{name}", total / steps, at)
        for name, optimiser in self._engine.optimisers.items():
            self._writer.add_scalar(f"learning_rate/{name}", optimiser.param_groups[0]["lr"], at)
        pace_s = (news.elapsed_s - self._elapsed_s) / steps
        self._writer.add_scalar("seconds_per_step", pace_s, at)
        self._writer.flush()
        self._sums.clear()
        self._step, self._elapsed_s = news.step, news.elapsed_s

    def add_sheet(self, step: int) -> None:
        """Add the sheet of samples of a step, if there is one that was not added before."""
        at = self._before + step
        file = None if self._sheets is None else self._sheets / f"step-{at:06d}.png"
        if file is None or at == self._shown or not file.is_file():
            return
        with Image.open(file) as sheet:
            self._writer.add_image(
                "samples", np.asarray(sheet.convert("RGB")), at, dataformats="HWC"
            )
        self._writer.flush()
        self._shown = at

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
