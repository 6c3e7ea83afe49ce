import signal
import threading
from collections.abc import Iterator

import pytest

from decig.errors import Terminated
from decig.training.loop.interrupt import deferred_interrupt


@pytest.fixture(autouse=True)
def python_handles_ctrl_c() -> Iterator[None]:
    """A shell lets programs in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_what_is_running_is_finished_and_told_of_it(
    number: signal.Signals, kind: type[KeyboardInterrupt]
) -> None:
    before = signal.getsignal(number)
    with deferred_interrupt() as interrupt:
        assert interrupt() is None
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGINT)
        assert type(interrupt()) is kind
    assert signal.getsignal(number) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_it_ends_with_an_error_too() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="broken"), deferred_interrupt():
        raise ValueError("broken")
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_holds_nothing_back() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def run() -> None:
        with deferred_interrupt() as interrupt:
            seen.append((interrupt(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(None, True)]
