"""A stretch of the training of an original, as a task of its own: stage I or stage II of DECIG."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from decig.training.loop.schedule import Schedule
from decig.training.nets.averaging import Averaging
from decig.training.tasks import Condensable, Group, Memory, Prepares


@dataclass(frozen=True)
class Part:
    """A schedule between two points of the progress that it is made for.

    Attributes:
        whole: the schedule.
        begin: progress of the whole where the part begins.
        end: progress of the whole where it ends.
    """

    whole: Schedule
    begin: float
    end: float

    def __call__(self, progress: float) -> float:
        """Return the factor on the learning rate for a progress of the part."""
        return self.whole(self.begin + progress * (self.end - self.begin))


@dataclass(frozen=True)
class Stretch:
    """Some steps of a task, one after the other, with its learning rates there.

    It is a `decig.training.tasks.Task`; what is not said here is as the task has it.

    Attributes:
        task: the whole.
        first: its first step.
        end: the step behind its last one.
    """

    task: Condensable
    first: int
    end: int

    @property
    def steps(self) -> int:
        """How many steps it takes."""
        return self.end - self.first

    @property
    def nets(self) -> Mapping[str, nn.Module]:
        """Those of the task."""
        return self.task.nets

    @property
    def groups(self) -> Mapping[str, Group]:
        """Those of the task, at their learning rates on this stretch."""
        begin, end = (step / self.task.steps for step in (self.first, self.end))
        return {
            name: replace(group, schedule=Part(group.schedule, begin, end))
            for name, group in self.task.groups.items()
        }

    @property
    def averages(self) -> Mapping[str, Averaging]:
        """Those of the task."""
        return self.task.averages

    @property
    def memories(self) -> Mapping[str, Memory]:
        """Those of the task."""
        return self.task.memories

    def prepare(self, number: int) -> None:
        """Let the task make what it draws batches from, if it has to."""
        if isinstance(self.task, Prepares):
            self.task.prepare(self.first + number)

    def batch(self, number: int) -> Any:
        """Return the batch of a step of the stretch."""
        return self.task.batch(self.first + number)

    def forward(self, batch: Any) -> Any:
        """Do as the task does."""
        return self.task.forward(batch)

    def losses(self, group: str, batch: Any, shared: Any) -> dict[str, Tensor]:
        """Return the task's terms."""
        return self.task.losses(group, batch, shared)

    def group_of(self, net: str) -> Group:
        """The group in which a net is trained."""
        return next(group for group in self.groups.values() if net in group.nets)


@dataclass(frozen=True)
class Taught(Stretch):
    """A stretch in which generators learn from others as well, beside the task's own losses.

    Shah and Bharaj (BMVC 2022), section 3, stage II, where the condensed generator is the teacher.
    The term is the mean absolute difference to the teacher's picture of the same input, in the
    range of the output, as Li et al., "GAN Compression" (CVPR 2020), section 3.1, have it.

    Attributes:
        teachers: by the names of the generators that learn from them; in evaluation mode.
        weight: of the term; 0 leaves it out.
    """

    teachers: Mapping[str, nn.Module] = field(default_factory=dict)
    weight: float = 0.0

    def losses(self, group: str, batch: Any, shared: Any) -> dict[str, Tensor]:
        """Return the task's terms, and one for each generator of the group."""
        terms = self.task.losses(group, batch, shared)
        learning = [name for name in self.task.groups[group].nets if name in self.teachers]
        if not learning or not self.weight:
            return terms
        with torch.no_grad():
            wanted = self.task.paint(self.teachers, batch)
        painted = self.task.pictures(shared)
        for name in learning:
            difference = (painted[name].float() - wanted[name].float()).abs().mean()
            terms[f"teacher_{name}" if len(learning) > 1 else "teacher"] = self.weight * difference
        return terms
