"""The training loop, for originals and students alike.

It reads from top to bottom in `Engine.run`. The engine knows nothing of images and losses: what
is learnt is a task (`decig.training.tasks.Task`); what a method adds to any task, such as the
proximal step of stage I, is a `Part`.
"""

import copy
import functools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from decig.errors import BadInputError, DecigError
from decig.training.loop.interrupt import deferred_interrupt
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.loop.state import read_state, reading_state, write_state
from decig.training.tasks import Prepares, Task

_log = logging.getLogger(__name__)

SAVE_EVERY_S = 30.0
"""Seconds between two saved states, at least."""
SAVING_SHARE = 0.05
"""Share of the time that saving may take: large states are saved less often."""


@dataclass(frozen=True)
class News:
    """What is reported of a step.

    Attributes:
        step: steps taken so far, this one included.
        elapsed_s: seconds of training so far.
        progress: of the budget before this step, from 0 to 1.
        losses: sum of each group's terms by the group's name, and the terms as "group/term".
    """

    step: int
    elapsed_s: float
    progress: float
    losses: Mapping[str, float]


class Part(Protocol):
    """What takes part in training beside the task, and must be there again after a resume."""

    @property
    def done(self) -> bool:
        """Whether training should end before its budget does; the main process's answer counts."""
        ...

    def after_update(self, step: int, progress: float) -> None:
        """Do its share of a step, after all groups were updated and before the means follow.

        Args:
            step: number of the step, from 0 on.
            progress: of the budget before the step, from 0 to 1.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs of it."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        ...


class Engine:
    """Trains the nets of a task until a budget is used up.

    Attributes:
        means: the running means of the task's averaged nets, by name.
        step: steps taken so far.
        elapsed_s: seconds of training so far, those before a resume included.
    """

    def __init__(
        self,
        task: Task,
        budget: Budget,
        processes: Processes,
        *,
        seed: int = 0,
        accumulate: int = 1,
        parts: Sequence[Part] = (),
        state_file: Path | None = None,
        report: Callable[[News], None] | None = None,
    ) -> None:
        """Move the task's nets to their device and make optimisers and running means.

        Args:
            task: what is learnt.
            budget: how long.
            processes: that train together.
            seed: of what PyTorch draws during a step, such as dropout.
            accumulate: batches whose gradients are averaged for one update.
            parts: what takes part beside the task, in the order of their turns.
            state_file: where the state is saved; None saves nothing.
            report: told of every step, on the main process only.
        """
        self.task, self.budget, self.processes = task, budget, processes
        self.seed, self.accumulate, self.parts = seed, accumulate, tuple(parts)
        self.state_file, self.report = state_file, report
        self.step, self.elapsed_s = 0, 0.0
        for net in task.nets.values():
            net.to(processes.device)
            processes.take_from_main(net)
        self.means = {
            name: copy.deepcopy(task.nets[name]).requires_grad_(False).eval()
            for name in task.averages
        }
        self.optimisers = {
            name: torch.optim.Adam(self._parameters(name), group.learning_rate, betas=group.betas)
            for name, group in task.groups.items()
        }
        self._next_save = 0.0

    def run(self) -> None:
        """Train until the budget is used up or a part is done.

        What comes of it are the nets and `means`.

        Raises:
            DecigError: a loss is no number any more, or the state cannot be written; the last
                good state is kept.
            KeyboardInterrupt: Ctrl-C or SIGTERM, after the step was finished and the state saved.
        """
        self._prepare()
        begun = time.monotonic() - self.elapsed_s
        news = None
        for net in self.task.nets.values():
            net.train()
        with deferred_interrupt() as interrupt:
            while True:
                progress, save, stop, done = self._decided(news, interrupt)
                if save or stop:
                    self.save()
                if stop:
                    raise interrupt() or KeyboardInterrupt  # of the main process alone
                if progress >= 1.0 or done:
                    break
                losses = self._update(progress)
                for part in self.parts:
                    part.after_update(self.step, progress)
                for name, averaging in self.task.averages.items():
                    averaging.follow(self.means[name], self.task.nets[name], self.step)
                self.step += 1
                self.elapsed_s = time.monotonic() - begun
                news = News(self.step, self.elapsed_s, progress, losses)
        for mean in self.means.values():  # each process has running statistics of its own
            self.processes.take_from_main(mean)
        self.save()

    def _prepare(self) -> None:
        """Let a task make what it draws batches from, before its first step.

        Where a run goes on, that may be the teacher's pictures of many steps, painted anew. It is
        no training, and Ctrl-C may end it.
        """
        if self.budget.progress(self.step, self.elapsed_s) >= 1.0:
            return
        if isinstance(self.task, Prepares):
            if self.step and self.processes.main:
                what = "training goes on at step %d, once the pictures to learn from are made anew"
                _log.info(what, self.step)
            self.task.prepare(self.step * self.accumulate)

    def _decided(
        self, news: News | None, interrupt: Callable[[], KeyboardInterrupt | None]
    ) -> tuple[float, bool, bool, bool]:
        """Progress of the budget, and whether to save, to stop or to end, as the main process says.

        First it reports the step before. All save together, for each has memories of its own.
        """

        def decide() -> tuple[float, bool, bool, bool]:
            if news is not None and self.report:
                self.report(news)
            progress = self.budget.progress(self.step, self.elapsed_s)
            due = self.step == 1 or (self.step > 1 and time.monotonic() > self._next_save)
            save = due and progress < 1.0  # at the end, the state is saved in any case
            done = any(part.done for part in self.parts)
            return progress, save, interrupt() is not None, done

        return self.processes.on_main(decide)

    def _update(self, progress: float) -> dict[str, float]:
        """Update all groups once; returns the losses as `News` has them."""
        first = self.step * self.accumulate
        batches = [_Batch(self, first + place) for place in range(self.accumulate)]
        found: dict[str, float] = {}
        *_, last = self.task.groups
        for name, group in self.task.groups.items():
            optimiser = self.optimisers[name]
            for parameters in optimiser.param_groups:
                parameters["lr"] = group.learning_rate * group.schedule(progress)
            optimiser.zero_grad()
            for batch in batches:
                for key, value in self._descend(name, batch).items():
                    found[key] = found.get(key, 0.0) + value / self.accumulate
                if name == last:
                    batch.release()
            self.processes.average_gradients(self._parameters(name))
            optimiser.step()
        return found

    def _descend(self, group: str, batch: "_Batch") -> dict[str, float]:
        """Add the gradients of one batch to those of a group; returns the losses.

        Raises:
            DecigError: the loss is no number.
        """
        terms = self.task.losses(group, batch.data, batch.shared)
        loss = functools.reduce(torch.add, terms.values())
        values = [term.detach().float() for term in (loss, *terms.values())]
        total, *each = self.processes.mean(torch.stack(values).tolist())
        if not math.isfinite(total):
            kept = f"; the last good state is kept in {self.state_file}" if self.state_file else ""
            raise DecigError(
                f"the {group}'s loss became {total} at step {self.step}{kept}; lower learning_rate"
            )
        torch.autograd.backward(loss / self.accumulate if self.accumulate > 1 else loss)
        named = {f"{group}/{term}": value for term, value in zip(terms, each, strict=True)}
        return {group: total, **named}

    def _parameters(self, group: str) -> list[nn.Parameter]:
        nets = (self.task.nets[name] for name in self.task.groups[group].nets)
        return [parameter for net in nets for parameter in net.parameters()]

    def save(self) -> None:
        """Write the state atomically, from the main process only; all processes call it together.

        An update can make weights infinite one step before the loss shows it: such a state is
        not good, and the one on disk is kept.

        Raises:
            DecigError: the state cannot be written.
        """
        if self.state_file is None:
            return
        memories = {
            name: self.processes.to_main(memory.state_dict())
            for name, memory in self.task.memories.items()
        }
        self.processes.on_main(functools.partial(self._write, self.state_file, memories))

    def _write(self, file: Path, memories: Mapping[str, Any]) -> None:
        """Write the state, if it is good."""
        trained = (p for name in self.task.groups for p in self._parameters(name))
        if not all(bool(parameter.isfinite().all()) for parameter in trained):
            return
        began = time.monotonic()
        write_state(file, self._state(memories))
        now = time.monotonic()
        self._next_save = now + max(SAVE_EVERY_S, (now - began) / SAVING_SHARE)

    def resume(self) -> bool:
        """Go on from the saved state, if there is one; returns whether there was.

        Raises:
            BadInputError: the state is damaged, of another run, or not the same for all processes.
        """
        if self.state_file is None or not self.processes.from_main(self.state_file.exists()):
            return False
        state = read_state(self.state_file)
        with reading_state(self.state_file):
            for name in self.task.groups:
                self.load_group(name, state["groups"][name])
            for name, mean in self.means.items():
                mean.load_state_dict(state["means"][name])
            for part, saved in zip(self.parts, state["parts"], strict=True):
                part.load_state_dict(saved)
            rank = self.processes.rank
            for name, memory in self.task.memories.items():
                of_rank = state["memories"][name]
                if rank < len(of_rank):  # a process that was not there before remembers nothing
                    memory.load_state_dict(of_rank[rank])
            self.step, self.elapsed_s = int(state["step"]), float(state["elapsed_s"])
        steps = self.processes.gather(self.step)
        if len(set(steps)) > 1:
            raise BadInputError(
                f"{self.state_file}: the processes find states of different steps there, {steps}: "
                "start them all where the run folder is the same one"
            )
        return True

    def _state(self, memories: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "groups": {name: self.group_state(name) for name in self.task.groups},
            "means": {name: mean.state_dict() for name, mean in self.means.items()},
            "parts": [part.state_dict() for part in self.parts],
            "memories": dict(memories),
        }

    def group_state(self, name: str) -> dict[str, Any]:
        """Return a group's weights and its optimiser's state, for another engine to go on with."""
        nets = self.task.groups[name].nets
        return {
            "nets": {net: self.task.nets[net].state_dict() for net in nets},
            "optimiser": self.optimisers[name].state_dict(),
        }

    def load_group(self, name: str, state: Mapping[str, Any]) -> None:
        """Go on with what `group_state` of another engine returned."""
        for net in self.task.groups[name].nets:
            self.task.nets[net].load_state_dict(state["nets"][net])
        self.optimisers[name].load_state_dict(state["optimiser"])


class _Batch:
    """One batch of an engine's task, and what its losses share."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine, self._number = engine, number
        self.data = engine.task.batch(number)

    @functools.cached_property
    def shared(self) -> Any:
        """What `Task.forward` gives; what it draws follows from seed, number and rank only."""
        key = [self._engine.seed, self._number, self._engine.processes.rank]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        return self._engine.task.forward(self.data)

    def release(self) -> None:
        """Give the memory of the data and of what was computed from them back."""
        self.__dict__.pop("shared", None)
        self.data = None
