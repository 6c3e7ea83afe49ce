"""What the steps of one compression share, and what the compressions of one call do."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from decig.progress import Progress
from decig.schema import WrittenByHand
from decig.training.compression.judge import Judge
from decig.training.compression.planner import Goal, Planner
from decig.training.compression.teacher import Teacher
from decig.training.data.examples import Examples
from decig.training.data.pool import TeacherPool
from decig.training.loop.precision import Precision
from decig.training.loop.processes import Processes
from decig.training.runs.run import RunFolder

if TYPE_CHECKING:
    from decig.training.config import Config

S = TypeVar("S", bound=WrittenByHand)


@dataclass(frozen=True)
class Shared:
    """What the targets of one call have in common; where there is one target, it is its own.

    Attributes:
        run: folder of the files that are made once for all targets.
        planners: one for each target, the slowest first.
        teacher: the model that is compressed.
        examples: the user's images.
        pools: pools of the teacher's pictures, by what they were made for.
    """

    run: RunFolder
    planners: tuple[Planner, ...]
    teacher: Teacher
    examples: Examples
    pools: dict[Hashable, TeacherPool] = field(default_factory=dict)

    @cached_property
    def judge(self) -> Judge:
        """Judges students by the images that are held out."""
        inputs = self.examples.feeds(self.examples.held_out)
        return Judge(self.teacher.model.proto, inputs, self.teacher.pixels)


@dataclass(frozen=True)
class Job:
    """What the steps of one compression share.

    Attributes:
        teacher: the model that is compressed.
        examples: the user's images.
        goal: what is to be reached, and on which device.
        planner: chooses which channels stay.
        config: all settings.
        run: the run folder.
        processes: that train together.
        progress: told how far each step is; by the main process only.
        shared: what it has in common with the compressions to other targets.
    """

    teacher: Teacher
    examples: Examples
    goal: Goal
    planner: Planner
    config: "Config"
    run: RunFolder
    processes: Processes
    progress: Progress
    shared: Shared

    @property
    def judge(self) -> Judge:
        """Judges students by the images that are held out."""
        return self.shared.judge

    @property
    def precision(self) -> Precision:
        """The precision that nets compute in."""
        return Precision.named(self.config.train.precision, self.processes.device.type)

    def settings(self, kind: type[S]) -> S:
        """Return the method's own settings; `kind` is their record."""
        found = self.config.of_method
        assert isinstance(found, kind), f"the settings are those of another method: {found}"
        return found
