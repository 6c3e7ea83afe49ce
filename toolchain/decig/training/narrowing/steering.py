"""Channels are taken away while a net is trained, on schedule to a latency.

How strong the steps must be that take them away is not known beforehand. So the latency predicted
for the channels that are left is looked at now and then, and the rate of the steps follows.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Schedule

_STEER_EVERY = 10
"""Steps between two looks at the latency that has been reached."""
UNASKED = 4
"""Times faster than the whole generator that stage I condenses to where no latency is asked for:
far enough for every group to show its hinge."""


class Narrowing(Protocol):
    """What takes channels away little by little, at a rate of its own."""

    def step(self, share: float = 1.0) -> None:
        """Take a step at a share of the rate."""
        ...

    def live(self) -> dict[str, int]:
        """Channels of each group that are left."""
        ...

    def steer(self, predicted: float, wanted: float) -> None:
        """Choose the rate of the next steps by the predicted latency and the wanted one."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the next step follows from, beside the weights that are trained."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        ...


class Steered:
    """Narrowing as a part of the engine: on schedule to a latency.

    Attributes:
        predicted_ms: latency predicted for the live channels when it was last looked at.
        looked_at: number of the step after which that was, counted from 1; 0 before the first.
        done: never: what is taken away grows with the progress of the budget, and needs all of it.
    """

    done = False

    def __init__(
        self,
        narrowing: Narrowing,
        schedule: Schedule,
        predict_ms: Callable[[Mapping[str, int]], float],
        begin_ms: float,
        end_ms: float,
        processes: Processes,
    ) -> None:
        """Prepare.

        Args:
            narrowing: takes the steps.
            schedule: of the learning rate, which the rate of the steps follows.
            predict_ms: latency on the device by the widths of the groups.
            begin_ms: latency at the beginning.
            end_ms: latency wanted at the end.
            processes: that train together.
        """
        self._narrowing, self._schedule, self._predict = narrowing, schedule, predict_ms
        self._begin_ms, self._end_ms, self._processes = begin_ms, end_ms, processes
        self.predicted_ms, self.looked_at = begin_ms, 0

    def after_update(self, step: int, progress: float) -> None:
        """Take a step, and now and then steer its rate."""
        self._narrowing.step(self._schedule(progress))
        if (step + 1) % _STEER_EVERY == 0:
            self.predicted_ms = self._predict(self._narrowing.live())
            self.looked_at = step + 1
            # Geometric: every step of the schedule takes the same share of what is left.
            wanted = self._begin_ms * (self._end_ms / self._begin_ms) ** progress
            self._narrowing.steer(self.predicted_ms, wanted)
            # On GPUs sums differ in their last bits, by which a channel may live in one process
            # and be dead in another: all take the main process's rate.
            state = self._processes.from_main(self._narrowing.state_dict())
            self._narrowing.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Return where steering has brought the narrowing."""
        return self._narrowing.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on steering from there."""
        self._narrowing.load_state_dict(state)
