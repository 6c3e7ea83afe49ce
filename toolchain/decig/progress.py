"""How steps that take long report their progress; `decig.cli.progress` shows it."""

from collections.abc import Callable

Progress = Callable[[str, float, dict[str, float]], None]
"""Called with the name of a step, its progress from 0 to 1, and its latest figures by name."""


def silent(step: str, share: float, figures: dict[str, float]) -> None:
    """Report no progress: a `Progress` for callers that want none."""
