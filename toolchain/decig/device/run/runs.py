"""Runs of a session for timing: on a GPU by its own clock, on a busy processor by own time."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import onnxruntime as ort

from decig.device.run import cuda, providers
from decig.device.run.session import DeviceOptions, run_session
from decig.device.run.timing import time_and_share, time_once


def prepare_run(
    session: ort.InferenceSession, feeds: Mapping[str, np.ndarray], options: DeviceOptions
) -> Callable[[], object]:
    """Return a call that runs a session: on a GPU without copies from and to it.

    See `decig.device.run.timing.time_once`, which asks a GPU for its own time.
    """
    if options.gpu is None:
        return partial(run_session, session, dict(feeds))
    return cuda.BoundRun(session, feeds, options.gpu, cuda.runtime(options.gpu))


def observe(run: Callable[[], object], options: DeviceOptions) -> tuple[float, float]:
    """Run once; return the microseconds and for which share of them the run had the processor.

    1 where that cannot be told: on another device than the processor, or on threads that sleep
    while they wait for each other.
    """
    provider = providers.find(options.provider)
    if provider.short == "cpu":
        return time_and_share(run, options.threads)
    on_cpu = provider.on_cpu and options.effective_options.get("device_type", "CPU") == "CPU"
    if on_cpu and options.threads == 1:
        return time_and_share(run, 1, own_thread=False)
    return time_once(run), 1.0


class QuietRun:
    """A run whose own time is told apart from that of other programs, where that can be done.

    Choices between graphs are made with it: a burst of other work during one of them would
    otherwise decide. On one thread of the processor it is exact; elsewhere the clock's time stands.
    """

    def __init__(self, run: Callable[[], object], options: DeviceOptions) -> None:
        self._run, self._options = run, options

    def __call__(self) -> object:
        """Run once."""
        return self._run()

    def time_us(self) -> float:
        """Run once and return the microseconds."""
        us, share = observe(self._run, self._options)
        return us * share if self._options.threads == 1 else us
