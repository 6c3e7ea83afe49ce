"""Progress on stderr: a bar in a terminal; elsewhere, such as in a log file, lines at intervals."""

import logging
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from decig.cli.tables import figure

log = logging.getLogger(__name__)

_LOG_EVERY_S = 30.0
"""Seconds between two lines about one step where there is no terminal."""


class ProgressBar:
    """A bar for the step that runs now; it disappears when the block ends."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._step = ""
        self._task: TaskID | None = None
        self._logged = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def count(self, step: str, done: int, total: int) -> None:
        """Show how many parts of a step are done."""
        self.update(step, done / total)

    def update(self, step: str, share: float, figures: dict[str, float] | None = None) -> None:
        """Show how far a step is, as a share from 0 to 1, and its latest figures."""
        shown = ", ".join(f"{name} {figure(value)}" for name, value in (figures or {}).items())
        if self._task is None or step != self._step:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._step, self._logged = step, 0.0
            self._task = self._progress.add_task(step, total=1.0, figures=shown)
        self._progress.update(self._task, completed=share, figures=shown)
        if self._progress.disable and time.monotonic() - self._logged >= _LOG_EVERY_S:
            self._logged = time.monotonic()
            log.info("%s: %.0f %% %s", step, 100 * share, shown)
