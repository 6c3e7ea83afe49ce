"""The training loop of both stages: a student that learns to paint what its teacher paints.

It reads from top to bottom in `Loop.run`. What a stage adds (the proximal step of stage I, the
feature loss of stage II, real targets) comes in as small objects.
"""

import contextlib
import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from decig.data.pixels import PixelFormat
from decig.errors import DecigError
from decig.train.losses.output import OutputLoss, picture_of
from decig.train.memory import put_channels_last
from decig.train.nets.averaging import follow
from decig.train.pool import Batch, TeacherPool
from decig.train.settings import Settings
from decig.train.state import reading_state, write_state

_SAVE_EVERY_S = 30.0
_ADAM_BETAS = (0.9, 0.99)
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Budget:
    """How long a stage trains: seconds of wall clock, or steps (then runs are reproducible)."""

    seconds: float | None = None
    steps: int | None = None

    def share(self, step: int, elapsed_s: float) -> float:
        """Progress from 0 to 1."""
        if self.steps is not None:
            return min(1.0, step / self.steps) if self.steps else 1.0
        return min(1.0, elapsed_s / self.seconds) if self.seconds else 1.0

    def part(self, share: float) -> "Budget":
        """Return a share of the budget."""
        if self.steps is not None:
            return Budget(steps=round(self.steps * share))
        return Budget(seconds=(self.seconds or 0.0) * share)


class ExtraLoss(Protocol):
    """A loss beside the output's, on one batch: features, real targets, adversarial."""

    def __call__(self, batch: Batch, outputs: tuple[Tensor, ...], picture: Tensor) -> Tensor:
        """Loss of the batch; `outputs` are all the student's, `picture` its first, in 0..1."""
        ...


class Stateful(Protocol):
    """What else changes while a stage trains and must be there again after a resume."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs of it."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        ...


@dataclass
class Loop(Generic[M]):
    """One stage.

    Attributes:
        student: module to train; returns a tensor, or a tuple whose first entry is the picture.
        pool: makes the batches.
        pixels: the model's pixel format.
        settings: learning rate and loss weights.
        budget: how long.
        state_file: where the state is saved; None saves nothing.
        extra: further losses.
        stateful: what is saved and restored beside the weights.
        after_step: called with the learning-rate share after every optimiser step.
        report: called after every step with the stage's progress and loss.
        first: batches that were taken from the pool before.
    """

    student: M
    pool: TeacherPool
    pixels: PixelFormat
    settings: Settings
    budget: Budget
    accelerator: Accelerator
    state_file: Path | None = None
    extra: list[ExtraLoss] = field(default_factory=list)
    stateful: list[Stateful] = field(default_factory=list)
    after_step: Callable[[float], None] | None = None
    report: Callable[["Loop[M]", float, float], None] | None = None
    first: int = 0
    step: int = 0
    elapsed_s: float = 0.0

    def __post_init__(self) -> None:
        """Prepare optimiser, mean weights and device."""
        self.loss = OutputLoss(
            self.settings.chroma, self.settings.gradient, self.settings.structure
        )
        put_channels_last(self.student)
        self.mean = copy.deepcopy(self.student).requires_grad_(False).to(self.accelerator.device)
        optimiser = torch.optim.Adam(
            self.student.parameters(), self.settings.learning_rate, betas=_ADAM_BETAS
        )
        self.trained, self.optimiser = self.accelerator.prepare(self.student, optimiser)

    def run(self) -> M:
        """Train until the budget is used up.

        Returns:
            The module with the running mean of the weights.

        Raises:
            DecigError: the loss is no number any more; the last good state is kept.
            KeyboardInterrupt: Ctrl-C, after the state was saved.
        """
        started = saved = time.monotonic()
        before = self.elapsed_s
        self.trained.train()
        with _deferred_interrupt() as interrupted:
            while (share := self.budget.share(self.step, self.elapsed_s)) < 1.0:
                rate = self._learning_rate_share(share)
                loss = self._update(self.pool.batch(self.first + self.step), rate)
                if self.after_step:
                    self.after_step(rate)
                self._follow()
                self.step += 1
                now = time.monotonic()
                self.elapsed_s = before + now - started
                if self.report:
                    self.report(self, share, loss)
                if interrupted() or self.step == 1 or now - saved > _SAVE_EVERY_S:
                    self.save()
                    saved = now
                if interrupted():
                    raise KeyboardInterrupt
        self.save()
        return self.mean

    def _update(self, batch: Batch, rate: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * rate
        outputs = self.trained(*batch.inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        picture = picture_of(outputs[0], self.pixels)
        loss = self.loss(picture, batch.teacher)
        for extra in self.extra:
            loss = loss + extra(batch, outputs, picture)
        value = loss.item()
        if not math.isfinite(value):
            kept = f"; the last good state is kept in {self.state_file}" if self.state_file else ""
            raise DecigError(
                f"the loss became {value} at step {self.step}{kept}; lower learning_rate (--config)"
            )
        self.optimiser.zero_grad()
        self.accelerator.backward(loss)
        self.optimiser.step()
        return value

    def _learning_rate_share(self, share: float) -> float:
        """Linear warm-up, then cosine decay to zero."""
        warmup = self.settings.warmup
        if share < warmup:
            return (share + 1e-3) / (warmup + 1e-3)
        return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))

    def _follow(self) -> None:
        trained = self.accelerator.unwrap_model(self.trained)
        follow(self.mean, trained, decay=self.settings.ema, step=self.step)

    def save(self) -> None:
        """Write the state atomically, from the main process only.

        An update can make weights infinite one step before the loss shows it: such a state is
        not good, and the one on disk is kept.
        """
        if self.state_file is None or not self.accelerator.is_main_process:
            return
        if not all(bool(p.isfinite().all()) for p in self.trained.parameters()):
            return
        write_state(self.state_file, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "trained": self.accelerator.unwrap_model(self.trained).state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "stateful": [part.state_dict() for part in self.stateful],
        }

    def resume(self) -> bool:
        """Go on from the saved state, if there is one; tells whether there was.

        Raises:
            DecigError: the state is damaged, or of another run.
        """
        if self.state_file is None or not self.state_file.exists():
            return False
        with reading_state(self.state_file):
            state = torch.load(self.state_file, weights_only=True)
            self.accelerator.unwrap_model(self.trained).load_state_dict(state["trained"])
            self.mean.load_state_dict(state["mean"])
            self.optimiser.load_state_dict(state["optimiser"])
            for part, saved in zip(self.stateful, state["stateful"], strict=True):
                part.load_state_dict(saved)
            self.step, self.elapsed_s = int(state["step"]), float(state["elapsed_s"])
        return True


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back until the running step is whole; yields whether it was pressed."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = []
    previous = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous)
