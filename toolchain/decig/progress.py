"""How steps that take long report their progress; `decig.cli.progress` shows it."""

from collections.abc import Callable

Progress = Callable[[str, float, dict[str, float]], None]
"""Called with the name of a step, its progress from 0 to 1, and its latest figures by name."""
