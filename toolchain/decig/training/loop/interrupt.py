"""Ctrl-C, or SIGTERM, that waits until a step of training is whole."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from decig.errors import Terminated

_KINDS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
"""What each signal raises where it is not held back."""


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], KeyboardInterrupt | None]]:
    """Hold Ctrl-C and SIGTERM back; yields a function that gives the first of them.

    What it gives is to be raised once the step is whole; None where no signal came. Outside of the
    main thread nothing is held back, as signals do not arrive there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    came: list[KeyboardInterrupt] = []

    def note(number: int, _: object) -> None:
        came.append(_KINDS[signal.Signals(number)]())

    previous = {number: signal.signal(number, note) for number in _KINDS}
    try:
        yield lambda: came[0] if came else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
