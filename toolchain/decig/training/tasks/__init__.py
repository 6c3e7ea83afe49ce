"""What is learnt: one module per task, found by its name and imported when it is asked for.

A task owns its nets, makes batches and says what each group of nets must minimise; the engine
(`decig.training.loop.engine`) does everything else. A task of the same shape as `paired` that
stands in this folder can be named in a recipe, and nothing else has to be changed.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import msgspec
import numpy as np
from torch import Tensor, nn

from decig.errors import BadInputError
from decig.schema import WrittenByHand, convert
from decig.source.recipe import Recipe
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Schedule, constant
from decig.training.nets.averaging import Averaging
from decig.training.plugins import find_module

S = TypeVar("S", bound=WrittenByHand)


@dataclass(frozen=True)
class Group:
    """Nets that one Adam optimiser trains.

    Attributes:
        nets: their names in the task's `nets`.
        learning_rate: of Adam.
        betas: decay of Adam's means of the gradient and of its square.
        schedule: factor on the learning rate by the progress of training.
    """

    nets: tuple[str, ...]
    learning_rate: float
    betas: tuple[float, float]
    schedule: Schedule = constant


class Memory(Protocol):
    """What a task remembers from step to step beside its nets, such as a pool of pictures."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs of it; tensors on the CPU."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        ...


class Task(Protocol):
    """What the engine trains.

    In each step the engine asks for a batch, calls `forward` once, and then takes the groups in
    their order: losses, gradients, one update. A later group therefore sees the updates of the
    earlier ones. Everything random that a task does must follow from the seed, the number of the
    batch and the rank of the process, so that a resumed run sees what an unbroken one would have
    seen; PyTorch's own generator is seeded so before each batch.

    Attributes:
        nets: the nets that are trained, by name.
        groups: the nets of each optimiser, by the name of the group.
        averages: the nets of which a running mean is kept, and how it follows.
        memories: what else must be saved so that a resumed run ends the same, by name; each
            process has its own.
    """

    @property
    def nets(self) -> Mapping[str, nn.Module]:
        """The nets that are trained, by name."""
        ...

    @property
    def groups(self) -> Mapping[str, Group]:
        """The nets of each optimiser, by the name of the group, in the order of the updates."""
        ...

    @property
    def averages(self) -> Mapping[str, Averaging]:
        """The nets of which a running mean is kept, and how the mean follows."""
        ...

    @property
    def memories(self) -> Mapping[str, Memory]:
        """What is remembered from step to step beside the nets, by name."""
        ...

    def batch(self, number: int) -> Any:
        """Return the data of one batch; numbers come in ascending order."""
        ...

    def forward(self, batch: Any) -> Any:
        """Return what the losses of several groups share, such as the generator's pictures."""
        ...

    def losses(self, group: str, batch: Any, shared: Any) -> dict[str, Tensor]:
        """Return the weighted terms whose sum a group minimises, by name.

        Args:
            group: name of the group.
            batch: what `batch` returned.
            shared: what `forward` returned for it.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """A task whose batches need something that is long in the making, and is not saved."""

    def prepare(self, number: int) -> None:
        """Make what the batch of a number needs; called once, before the first step."""
        ...


class Original(Task, Protocol):
    """A task by which `decig train` trains a generator from data, as a recipe describes it.

    Its module has a function `open_task(recipe, data, processes)` that returns it.
    """

    @property
    def steps(self) -> int:
        """How many steps the recipe asks for."""
        ...

    @property
    def seed(self) -> int:
        """What everything random follows from."""
        ...

    def show(self, nets: Mapping[str, nn.Module]) -> dict[str, list[np.ndarray]]:
        """Return pictures of held-out examples to look at: title to images, uint8 H,W,3.

        Args:
            nets: the averaged nets, by name.
        """
        ...

    def exports(self, nets: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Return the nets to write as ONNX, by the name of the file; `nets` as for `show`."""
        ...


class Condensable(Original, Protocol):
    """An original whose generators can be condensed while they are trained.

    The nets that it exports as NAME.onnx are the generators; NAME is that of the net. The task
    takes its nets from `nets` whenever it needs one, so that a slim one can take the place of
    a generator.
    """

    @property
    def nets(self) -> MutableMapping[str, nn.Module]:
        """The nets that are trained, by name; what is put in here is trained from then on."""
        ...

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Height and width of all crops that the generators are trained on."""
        ...

    def paint(self, nets: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
        """Return what generators make of a batch, by the name of the generator.

        Args:
            nets: the generators, which need not be those of the task.
            batch: what `batch` returned.
        """
        ...

    def pictures(self, shared: Any) -> dict[str, Tensor]:
        """Return what the task's own generators made of a batch, as `paint` does.

        Args:
            shared: what `forward` returned for it.
        """
        ...


class OriginalModule(Protocol):
    """A module of this folder, or any other, that holds an `Original`."""

    def open_task(self, recipe: Recipe, data: Path | None, processes: Processes) -> Original:
        """Read data and make nets.

        Args:
            recipe: with the table [train] as it was written.
            data: folder of the data; None takes the recipe's own.
            processes: that train together.

        Raises:
            BadInputError: the recipe or the data do not fit the task.
        """
        ...


def find(name: str) -> OriginalModule:
    """Import the module of a task.

    Args:
        name: of a module in this folder, such as "paired", or of any module that can be imported,
            such as "my_package.my_task".

    Raises:
        BadInputError: there is none, or it holds no task for `decig train`.
    """
    module = find_module(name, __name__, "task")
    if not hasattr(module, "open_task"):
        raise BadInputError(f"the task {name!r} cannot be trained from a recipe")
    return cast(OriginalModule, module)


def settings_of(recipe: Recipe, kind: type[S]) -> S:
    """Read the table [train] of a recipe into a task's own record.

    Args:
        recipe: with the table as it was written.
        kind: the record; its field `task` takes the name of the task.

    Raises:
        BadInputError: there is no such table, it does not fit (names the file and the key), or an
            input of the net is no picture.
    """
    file = recipe.folder / "recipe.toml"
    for name, shape in recipe.input_shapes.items():
        if len(shape) != 4:
            raise BadInputError(
                f"{file}: no task trains a net whose input is no picture: {name} is {shape}; take "
                "trained weights instead"
            )
    if recipe.train is None:
        raise BadInputError(f"{file}: has no [train] table")
    tables: Any = msgspec.defstruct("Tables", [("train", kind)])
    found: S = convert({"train": recipe.train}, tables, str(file)).train
    return found
