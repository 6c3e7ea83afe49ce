"""The file of settings: a table for the engine, one for each task and one for each method.

    [train]
    seed = 1

    [distil]
    crop = 128

    [decig]
    condense = 0.15

What a table may hold is a record beside the code that it is for:
`decig.training.loop.settings.Settings`, `decig.training.tasks.distil.Settings`, and `Settings` of
every module in `decig.training.methods`.

The options of the command may stand there too (`decig.repeating`): the command reads those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from decig.errors import BadInputError
from decig.repeating import OPTIONS, RECORDED
from decig.schema import WrittenByHand, convert, read_json, read_toml
from decig.training import methods
from decig.training.loop.settings import Settings as TrainSettings
from decig.training.tasks import distil

Kinds = dict[str, type[WrittenByHand]]
"""The record that each table holds, by the name of the table."""

S = TypeVar("S", bound=WrittenByHand)

_OF_ALL: Kinds = {"train": TrainSettings, "distil": distil.Settings}
"""Tables that are read for every method."""


class _Recorded(msgspec.Struct, frozen=True):
    """What run.json says of the settings; see `Config.record`."""

    method: str
    settings: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Config:
    """All settings of a compression.

    Attributes:
        method: name of the method.
        train: how students are trained.
        distil: what they learn from their teacher.
        of_method: the method's own settings.
    """

    method: str
    train: TrainSettings
    distil: distil.Settings
    of_method: WrittenByHand

    @classmethod
    def read(cls, path: Path | None, method: str = methods.DEFAULT) -> "Config":
        """Read a TOML file over the defaults.

        Args:
            path: of the file; None takes the defaults.
            method: name of the method that will run; tables of other methods may stand in the
                file too.

        Raises:
            BadInputError: there is no such method, the file is unreadable, or a key is unknown,
                in the wrong table, of another type or out of range.
        """
        own = methods.table_of(method)
        kinds = _OF_ALL | {own: methods.find(method).Settings}
        written: dict[str, Any] = {}
        if path is not None:
            found = read_toml(path, dict[str, Any], "file of settings")
            written = {name: t for name, t in found.items() if name not in (OPTIONS, RECORDED)}
            every = {name: methods.find(name).Settings for name in methods.names()}
            _check(path, written, _OF_ALL | every | kinds)
        return cls._of_tables(method, written, str(path))

    @classmethod
    def recorded(cls, file: Path) -> "Config":
        """Read the settings that the file of a run says it began with.

        Args:
            file: run.json, in which `record` stands.

        Raises:
            BadInputError: the file is damaged, or the method is not there any more.
        """
        found = read_json(file, _Recorded, "record of a run")
        return cls._of_tables(found.method, found.settings, str(file))

    @classmethod
    def _of_tables(cls, method: str, tables: Mapping[str, Any], where: str) -> "Config":
        """Make records of tables; one that is missing holds the defaults."""
        own = methods.table_of(method)

        def table(name: str, kind: type[S]) -> S:
            return convert(tables.get(name, {}), kind, f"{where}: [{name}]")

        train, task = table("train", TrainSettings), table("distil", distil.Settings)
        return cls(method, train, task, table(own, methods.find(method).Settings))

    @property
    def needs_target(self) -> bool:
        """Whether the method, with these settings, finds no widths unless a latency is asked."""
        return bool(getattr(self.of_method, "needs_target", False))

    @property
    def plans_on_the_way(self) -> bool:
        """Whether widths are found while it trains, so that no record of a plan fixes them all."""
        return self.method != methods.DEFAULT or not self.needs_target

    def record(self) -> dict[str, Any]:
        """Return what the file of a run says of the settings, as plain JSON values."""
        own = methods.table_of(self.method)
        tables = {"train": self.train, "distil": self.distil, own: self.of_method}
        settings = {name: msgspec.to_builtins(table) for name, table in tables.items()}
        return {"method": self.method, "settings": settings}


def _check(path: Path, written: Mapping[str, Any], kinds: Kinds) -> None:
    """Refuse what stands in the wrong place, and whatever does not fit its table."""
    tables = ", ".join(f"[{name}]" for name in kinds)
    for key, value in written.items():
        if not isinstance(value, Mapping):
            places = _tables_with(key, kinds)
            right = f"it stands in the table {places}" if places else f"the tables are {tables}"
            raise BadInputError(f"{path}: {key} is in no table; {right}")
        if key not in kinds:
            raise BadInputError(f"{path}: there is no table [{key}]; the tables are {tables}")
        for name in value:
            places = _tables_with(name, kinds)
            if name not in kinds[key].__struct_fields__ and places:
                raise BadInputError(f"{path}: [{key}]: {name} stands in the table {places}")
        convert(value, kinds[key], f"{path}: [{key}]")


def _tables_with(key: str, kinds: Kinds) -> str:
    """The tables that know a key, as they are written; empty where none does."""
    return " or ".join(f"[{n}]" for n, kind in kinds.items() if key in kind.__struct_fields__)
