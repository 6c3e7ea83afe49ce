"""Writing down how a run is repeated: run.toml and the list of its data files.

`decig.repeating` says what these files hold.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomlkit

from decig.device.plan.target import TABLE_FILE
from decig.files import write_bytes
from decig.repeating import FILE, LIST_FILE, OPTIONS, RECORDED, Recorded, Said
from decig.training.compression.job import Job
from decig.training.compression.teacher import Teacher
from decig.training.runs.data_digests import list_of
from decig.training.runs.facts import Facts
from decig.training.runs.recording import versions

_HEADS = {
    "compress": f"""\
What this run was asked for, and what it depended on.
Repeat it, and see what differs: decig compress --locked {FILE}
Begin another run with it, edited or with options added: decig compress --config {FILE}""",
    "train": "What this run was asked for, for decig train --resume; the recipe holds settings.",
}


def write_record(folder: Path, job: Job, said: Said) -> None:
    """Leave run.toml and data.sha256 in the folder of a `decig compress` run that begins.

    Args:
        folder: of the run, or of all targets.
        job: of the run, or of the first target.
        said: what the command was told.

    Raises:
        BadInputError, DecigError: a file cannot be written.
    """
    goals = [planner.goal for planner in job.shared.planners]
    table = goals[0].target.table
    facts = Facts.of(job.teacher, job.examples.folders, table, job.processes, job.progress)
    widths = {
        planner.goal.name: {name: len(kept) for name, kept in planner.plan.keep.items()}
        for planner in job.shared.planners
        if planner.target_ms is not None
    }
    write_bytes(folder / LIST_FILE, list_of(facts.files))
    options = _pixels(job.teacher) | said.options
    recorded = msgspec.structs.replace(facts.recorded, widths=widths)
    method, settings = job.config.method, job.config.record()["settings"]
    said = msgspec.structs.replace(said, options=options | {"method": method})
    write_said(folder, said, settings, recorded, table=table is not None)


def write_said(
    folder: Path,
    said: Said,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    recorded: Recorded | None = None,
    *,
    table: bool,
) -> None:
    """Write run.toml.

    Args:
        folder: of the run.
        said: what the command was told.
        settings: of the training, by table; None where they stand in a recipe.
        recorded: what the run depends on; None where that is not compared when it is repeated.
        table: whether the run has a cost table, which lies in the folder.
    """
    recorded = msgspec.structs.replace(
        recorded or Recorded(command=said.command, versions=versions()),
        command=said.command,
        arguments=said.arguments,
        folder=said.folder,
    )
    made = tomlkit.document()
    for line in _HEADS[said.command].splitlines():
        made.add(tomlkit.comment(line))
    given = _without_none(said.options) | ({"profile": TABLE_FILE} if table else {})
    options = tomlkit.table()
    options.update(given)
    if unset := [key for key in said.unset if key not in given]:
        options.add(tomlkit.comment(f"without a value: {', '.join(unset)}"))
    made[OPTIONS] = options
    for name, keys in (settings or {}).items():
        made[name] = _without_none(keys)
    known = msgspec.to_builtins(recorded)
    made[RECORDED] = _without_none({name: value for name, value in known.items() if value != {}})
    write_bytes(folder / FILE, tomlkit.dumps(made).encode())


def _pixels(teacher: Teacher) -> dict[str, Any]:
    """The pixel format as options, whatever file it comes from; label maps stay with theirs."""
    pixels = teacher.pixels
    if pixels.labels is not None:
        return {}
    names = ("input_range", "output_range", "layout", "channel_order", "image", "picture")
    found = {name: getattr(pixels, name) for name in names}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in found.items() if v is not None}


def _without_none(value: Any) -> Any:
    """TOML has no null: what has no value is left out."""
    if isinstance(value, Mapping):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    return value
