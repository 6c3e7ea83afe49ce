"""What the generators of an original are to become while they are trained."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from decig.device.cost.table import CostTable
from decig.device.plan.compute import MacsTarget
from decig.device.plan.target import TABLE_FILE, Target
from decig.device.plan.wanted import Wanted
from decig.graph.channels import ChannelMap
from decig.graph.model import Model
from decig.repeating import FILE as SAID_FILE
from decig.repeating import read_options
from decig.schema import read_json
from decig.source.recipe import Recipe
from decig.training.loop.processes import Processes
from decig.training.methods import DEFAULT, find_way
from decig.training.narrowing.fresh import Way
from decig.training.originals.asked import FILE


def method_of_run(folder: Path) -> str:
    """The method with which the training in a run folder began.

    Raises:
        BadInputError: its record is damaged.
    """
    if not (folder / FILE).is_file():
        said = folder / SAID_FILE
        found: str = read_options(said).get("method", DEFAULT) if said.is_file() else DEFAULT
        return found
    return read_json(folder / FILE, _Began, "record of a run to resume").condense.method


class _Condensed(msgspec.Struct, frozen=True):
    """What `CondensingGoal.record` left."""

    method: str = DEFAULT


class _Began(msgspec.Struct, frozen=True):
    """What training.json says of the method."""

    condense: _Condensed = _Condensed()


@dataclass(frozen=True)
class CondensingGoal:
    """What generators are condensed to.

    Attributes:
        table: cost table of the recipe's model, whatever the weights were that it was taken with;
            None counts multiply-accumulates, for no device.
        target: what is to be reached; None lets the hinges decide.
        method: that makes them narrower.
        force: whether a table of another device serves.
    """

    table: CostTable | None
    target: Wanted | None = None
    method: str = DEFAULT
    force: bool = False

    @property
    def target_ms(self) -> float | None:
        """Latency on the device of the table; None where none is asked for, or no table given."""
        if self.table is None or self.target is None:
            return None
        return self.target.counted(self.table.as_it_is_ms)

    def counted(self, target: Target | MacsTarget) -> float | None:
        """Return what is asked of a generator: milliseconds, or millions of multiply-accumulates.

        Args:
            target: the generator on its device, or for none.
        """
        return None if self.target is None else self.target.counted(target.as_it_is_ms)

    def way(self, recipe: Recipe) -> Way:
        """Return how the method makes the generators of a recipe narrower.

        Raises:
            BadInputError: the method cannot, or its settings in the recipe do not fit.
        """
        module = find_way(self.method)
        return module.from_scratch(recipe, has_target=self.target is not None)

    def of(self, model: Model, channels: ChannelMap) -> Target | MacsTarget:
        """Return a generator on the device of the table, or for no device.

        Raises:
            BadInputError: the table is of another generator, or of another device.
        """
        if self.table is None:
            return MacsTarget(model, channels)
        self.table.require_same_structure(model, channels)
        target = partial(Target.of, self.table, model)
        # The main process alone measures; the others may be on other machines.
        alone, others = partial(target, force=self.force), partial(target, force=True)
        return Processes().after_main(alone, others)

    def record(self) -> dict[str, Any]:
        """Return what the file of a run says of it, as plain JSON values."""
        # Runs that began before there was a choice say nothing of the method, and can go on.
        method = {} if self.method == DEFAULT else {"method": self.method}
        if self.table is None:
            return {"target_macs": self.target and self.target.number, **method}
        return {
            "target_ms": self.target_ms,
            "table": self.table.model.sha256,
            "device": self.table.device.to_dict(),
            **method,
        }

    def save(self, folder: Path) -> None:
        """Leave the table in a run folder."""
        if self.table is not None:
            self.table.save(folder / TABLE_FILE)
