"""Seeing how many threads sessions are opened with."""

import pytest

from decig.device.run.device import Device

FREE = 3
"""Threads that are free for what nobody times, whatever this machine has."""


def watch_threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let `FREE` threads be free; return a list that gets the threads of every session opened."""
    opened: list[int] = []
    open_session = Device.open

    def noted(self: Device, *args: object, **options: object) -> object:
        opened.append(self.threads)
        return open_session(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("decig.device.run.device.worker_threads", lambda: FREE)
    monkeypatch.setattr("decig.device.run.device.available_cores", lambda: FREE)
    monkeypatch.setattr(Device, "open", noted)
    return opened
