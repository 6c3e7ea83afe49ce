"""Running a session, and timing a run without the time that other programs took."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnxruntime as ort

from decig.device.run.timing import Call
from decig.errors import BadInputError, ort_reason


def run_session(
    session: ort.InferenceSession,
    feeds: Mapping[str, np.ndarray],
    wanted: Sequence[str] | None = None,
) -> list[np.ndarray]:
    """Run a session once.

    Args:
        session: an open session.
        feeds: inputs by name.
        wanted: names of outputs; None for all.

    Returns:
        The outputs in order; the parts of a sequence one after the other.

    Raises:
        BadInputError: ONNX Runtime opened the model but cannot run it on these inputs.
    """
    try:
        outputs = session.run(wanted, dict(feeds))
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        shown = ", ".join(f"{name} {'x'.join(map(str, x.shape))}" for name, x in feeds.items())
        reason = ort_reason(error)
        raise BadInputError(f"ONNX Runtime cannot run the model on {shown}: {reason}") from error
    parts = (out if isinstance(out, list) else [out] for out in outputs)
    return [np.asarray(part) for several in parts for part in several]


def run_all(
    session: ort.InferenceSession,
    inputs: Sequence[Mapping[str, np.ndarray]],
    wanted: Sequence[str] | None = None,
) -> list[np.ndarray]:
    """Run a session on a list of inputs, at least one; arguments and errors as for `run_session`.

    Returns:
        One array for each output: those of all runs joined along the first axis.
    """
    runs = [run_session(session, feeds, wanted) for feeds in inputs]
    return [np.concatenate([np.atleast_2d(a) for a in p]) for p in zip(*runs, strict=True)]


class UndisturbedRun:
    """A run whose own time is told apart from that of other programs.

    Choices between graphs are made by such times: a burst of other work during one of the runs
    would decide otherwise.

    Attributes:
        wall_us: microseconds that all timed runs together took.
        own_us: those of them in which the runs had the processor.
    """

    def __init__(self, run: Call, observe: Callable[[Call], tuple[float, float]]) -> None:
        """Prepare.

        Args:
            run: what is timed.
            observe: runs it once; gives the microseconds, and for which share of them the run had
                the processor.
        """
        self._run, self._observe = run, observe
        self.wall_us = self.own_us = 0.0

    def __call__(self) -> object:
        """Run once."""
        return self._run()

    def time_us(self) -> float:
        """Run once and return the microseconds that the run itself took."""
        us, share = self._observe(self._run)
        self.wall_us += us
        self.own_us += us * share
        return us * share
