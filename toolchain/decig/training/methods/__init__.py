"""How slim widths are found and trained: one module per method, looked up by its name.

A method is a module with `Settings`, the record of its table in the file of settings, and
`steps(job)`, which says what is to be done and which files each step leaves in the run folder.
`decig.training.compression.pipeline` runs the steps. A module that stands in this folder is a
method that `decig compress` knows; nothing else has to be changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from decig.errors import BadInputError
from decig.schema import WrittenByHand
from decig.source.recipe import Recipe
from decig.training.compression.job import Job
from decig.training.loop.schedule import Budget
from decig.training.narrowing.fresh import Way
from decig.training.plugins import find_module, modules_in

DEFAULT = "decig"
"""The method where none is named."""


@dataclass(frozen=True)
class Step:
    """A part of a compression that leaves files; a run that was stopped goes on at a step.

    Attributes:
        name: for people, such as "distil".
        makes: files that the step leaves in the run folder; it is done when all are there.
        run: does it, with its part of the budget.
        share: of the budget, from 0 to 1.
        alone: whether the main process does it while the others wait. Steps that train are for
            all processes, and write from the main one only.
        shared: whether the step is done once for all targets of one call; its files lie in
            `job.shared.run`. It must depend on nothing that is of one target alone.
    """

    name: str
    makes: tuple[str, ...]
    run: Callable[[Budget], None]
    share: float = 0.0
    alone: bool = False
    shared: bool = False


class Method(Protocol):
    """A module of this folder, or any other."""

    @property
    def Settings(self) -> type[WrittenByHand]:  # noqa: N802
        """Record of the method's table in the file of settings; every key has a default.

        A record whose attribute `needs_target` is true refuses a compression without a latency to
        reach; one without that attribute finds widths of its own where none is asked for.
        """
        ...

    def steps(self, job: Job) -> list[Step]:
        """Return the steps in their order; their shares of the budget add up to 1.

        The last step leaves `student.onnx`, and what it finds of the student's quality in
        report.json (`decig.training.runs.run.RunFolder.add_figures`).
        """
        ...


class FromScratch(Method, Protocol):
    """A method by which `decig train` can make generators narrower while it trains them."""

    def from_scratch(self, recipe: Recipe, *, has_target: bool) -> Way:
        """Read how that is to be done from a table in the table [train] of a recipe.

        Args:
            recipe: of the generator.
            has_target: whether a latency, or a number of multiply-accumulates, is asked for.

        Raises:
            BadInputError: the table does not fit, or the method needs a target.
        """
        ...


def find(name: str) -> Method:
    """Import a method.

    Args:
        name: of a module in this folder, such as "decig", or of any module that can be imported,
            such as "my_package.my_method".

    Raises:
        BadInputError: there is none.
    """
    module = find_module(name, __name__, "method")
    if not (hasattr(module, "Settings") and hasattr(module, "steps")):
        raise BadInputError(f"{name!r} is no method: it has no Settings and steps")
    return cast(Method, module)


def find_way(name: str) -> FromScratch:
    """Import a method for `decig train`; errors as for `find`, and where it needs a teacher.

    Raises:
        BadInputError: the method only makes trained generators narrower.
    """
    module = find(name)
    if not hasattr(module, "from_scratch"):
        able = " or ".join(each for each in names() if hasattr(find(each), "from_scratch"))
        raise BadInputError(
            f"the method {name!r} needs a trained generator: train with {able}, or without a "
            f"method and then decig compress --method {name}"
        )
    return cast(FromScratch, module)


def names() -> list[str]:
    """Names of the methods in this folder."""
    return modules_in(__name__)


def table_of(name: str) -> str:
    """Name of a method's table in the file of settings: the last part of its own."""
    return name.rpartition(".")[2]
