"""How long-running steps say where they are; `decig.cli.progress` shows it."""

from collections.abc import Callable

Progress = Callable[[str, float, dict[str, float]], None]
"""Told a step's name, its progress from 0 to 1 and its latest figures."""
