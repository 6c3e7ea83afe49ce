"""Writing the report of a run: one HTML file that loads nothing."""

import logging
import os
import shlex
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from decig import __version__, extras
from decig.errors import BadInputError, DecigError
from decig.files import write_bytes
from decig.records import Member
from decig.report import verdict
from decig.report.evidence import (
    Evidence,
    Figures,
    Several,
    is_several,
    not_a_run,
    record_folder,
)
from decig.report.pictures import Exhibit, exhibits
from decig.source.resolve import RUN_FILE

FILE = "report.html"
"""Name of the report in a run folder."""
_EXTRA, _NEEDED = "report", ("jinja2", "matplotlib")

_log = logging.getLogger(__name__)


def require_packages() -> None:
    """Check that the optional part of decig is installed that reports need.

    Raises:
        BadInputError: it is not; names the line that installs it.
    """
    extras.require("decig report", _EXTRA, _NEEDED)


def write_where_possible(folder: Path) -> Path | None:
    """Write the report of a run into its folder, as `decig compress` does when it is done.

    In the folder of a call with several targets, each run gets its report too. Where that is not
    possible, one line says why: what was trained is there all the same.

    Returns:
        The file; None where none was written.
    """
    name = shlex.quote(str(folder))
    if extras.missing(_NEEDED) is not None:
        text = "no %s: for one, pip install 'decig[%s]' and decig report %s"
        _log.info(text, FILE, _EXTRA, name)
        return None
    runs = (
        sorted(file.parent for file in folder.glob(f"*/{RUN_FILE}")) if is_several(folder) else []
    )
    try:
        for each in (*runs, folder):
            write(each, each / FILE)
    except Exception as error:  # whatever it is, what was trained is there all the same
        text = str(error) if isinstance(error, DecigError) else repr(error)
        _log.warning("no %s: %s; for one, mend that and decig report %s", FILE, text, name)
        return None
    return folder / FILE


def write(folder: Path, output: Path) -> dict[str, Any]:
    """Write the report of a run, or of a call with several targets.

    Args:
        folder: of the run.
        output: the file.

    Returns:
        The file, its size, and what the report cannot show, as plain JSON values.

    Raises:
        BadInputError: the folder holds no run, a file in it is damaged, the output cannot be
            written, or the optional part of decig is missing.
    """
    require_packages()
    if not folder.is_dir():
        raise not_a_run(folder) if folder.exists() else BadInputError(f"{folder}: no such folder")
    gaps: list[str] = []
    if is_several(folder):
        content = _render("several.html.j2", several_context(Several.read(folder), output))
    else:
        context = run_context(Evidence.read(folder))
        gaps = context["gaps"]
        content = _render("run.html.j2", context)
    data = content.encode(errors="replace")  # names of files may be of any bytes
    write_bytes(output, data)
    return {"report": str(output), "bytes": len(data), "missing": gaps}


def _render(template: str, context: dict[str, Any]) -> str:
    """Fill a template in; whatever the run says is escaped."""
    import jinja2
    from markupsafe import Markup

    loader = jinja2.PackageLoader("decig.report", "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = resources.files("decig.report") / "templates"
    fixed = {
        name: Markup((folder / file).read_text(encoding="utf-8"))
        for name, file in (("style", "style.css"), ("script", "script.js"))
    }
    return environment.get_template(template).render(version=__version__, **fixed, **context)


def run_context(evidence: Evidence) -> dict[str, Any]:
    """What the template of a run is filled with."""
    from decig.report import sections

    figures = evidence.figures
    shown: list[Exhibit] = []
    lost: list[str] = []
    if evidence.pictures is not None:
        shown, lost = exhibits(evidence.folder, evidence.pictures, worst=sections.WORST)
    context: dict[str, Any] = {
        "name": evidence.folder.absolute().name,
        "verdict": verdict.judge(evidence),
        "stages": verdict.stages(evidence),
        "spread": verdict.spread(figures),
        "warnings": figures.warnings,
        "gaps": sections.gaps(evidence, lost),
        "exhibits": shown,
        "picture_note": sections.picture_note(evidence, len(shown)),
        "nodes": sections.nodes(evidence),
        "groups": sections.groups(evidence),
        "searches": [sections.search(search) for search in evidence.searches],
        "training": sections.training(evidence),
        "again": sections.again(evidence.recorded, record_folder(evidence.folder)),
        "tables": sections.tables(evidence),
    }
    parts = (
        ("exhibits", "pictures", "Pictures"),
        ("nodes", "nodes", "Nodes"),
        ("groups", "groups", "Channels"),
        ("searches", "plan", "Plan"),
        ("training", "training", "Training"),
    )
    contents = [(anchor, title) for key, anchor, title in parts if context[key]]
    return context | {
        "contents": [("verdict", "Verdict"), *contents, ("repeat", "Repeat it")],
    }


def several_context(several: Several, output: Path) -> dict[str, Any]:
    """What the template of a call with several targets is filled with.

    Args:
        several: what is known of the call.
        output: file of the report, from which those of the targets are linked.
    """
    from markupsafe import Markup

    from decig.report import plots, sections

    done = {member.target: member for member in several.frontier.targets}
    names = list(dict.fromkeys([*done, *several.runs]))
    counted = any(run.for_no_device for run in several.runs.values())
    waiting = [f"{name} has not finished" for name in names if name not in done]
    return {
        "name": several.folder.absolute().name,
        "headline": f"{len(done)} of {len(names)} targets done",
        "plot": Markup(plots.frontier(several.frontier.targets)) if done else "",
        "caption": "Multiply-accumulates are counted."
        if counted
        else "Filled marks were measured, empty ones are predicted.",
        "titles": _COUNTED if counted else _TIMED,
        "rows": [
            _target(several, name, done.get(name) or Member(target=name), output, counted=counted)
            for name in names
        ],
        "remarks": [*several.frontier.notes, *waiting],
        "again": sections.again(several.recorded, several.folder),
    }


_ALIKE = ("SSIM", "PSNR, dB", "parameters")
_TIMED = ("asked, ms", "measured, ms", "predicted, ms", "times faster", *_ALIKE)
_COUNTED = ("asked, MMACs", "reached, MMACs", "times fewer", *_ALIKE)
"""Titles of the columns of targets: for a device, and for multiply-accumulates without one."""


def _target(
    several: Several, name: str, member: Member, output: Path, *, counted: bool
) -> dict[str, Any]:
    """The row of a target; its own report is linked where it is there."""
    from decig.report.sections import cell

    figures = several.runs[name].figures if name in several.runs else Figures()
    cells = [
        *(_work_cells(member, figures) if counted else _time_cells(member, figures)),
        cell(member.ssim, ".4f"),
        cell(member.psnr_db, ".2f"),
        cell(member.params, ",d"),
    ]
    own, link = several.folder / name / FILE, ""
    if own.exists():
        link = quote(Path(os.path.relpath(own.resolve(), output.resolve().parent)).as_posix())
    return {"name": name, "cells": cells, "report": link}


def _time_cells(member: Member, figures: Figures) -> list[str]:
    """What was asked and reached of a device."""
    from decig.report.sections import cell

    original = figures.original_latency_ms
    measured, predicted = member.measured_latency_ms, member.predicted_latency_ms
    ms = predicted if measured is None else measured
    times = original / ms if original and ms else None
    values = (member.target_latency_ms, measured, predicted, times)
    return [cell(value, ".2f") for value in values]


def _work_cells(member: Member, figures: Figures) -> list[str]:
    """What was asked and reached in multiply-accumulates."""
    from decig.report.sections import cell

    asked, reached, change = member.target_macs, member.macs, figures.macs
    times = change.before / reached if change is not None and reached else None
    millions = (None if macs is None else macs / 1e6 for macs in (asked, reached))
    return [cell(value, ",.2f") for value in millions] + [cell(times, ".2f")]
