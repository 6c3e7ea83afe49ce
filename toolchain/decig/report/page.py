"""Writing the report of a run: one HTML file that loads nothing."""

import logging
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
from decig.report.evidence import Evidence, Several, is_several, not_a_run
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
        content = _render("several.html.j2", several_context(Several.read(folder)))
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
        "again": sections.again(evidence.recorded, evidence.folder),
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


def several_context(several: Several) -> dict[str, Any]:
    """What the template of a call with several targets is filled with."""
    from markupsafe import Markup

    from decig.report import plots, sections

    done = {member.target: member for member in several.frontier.targets}
    names = list(dict.fromkeys([*done, *several.runs]))
    waiting = [f"{name} has not finished" for name in names if name not in done]
    return {
        "name": several.folder.absolute().name,
        "headline": f"{len(done)} of {len(names)} targets done",
        "plot": Markup(plots.frontier(several.frontier.targets)) if done else "",
        "rows": [_target(several, name, done.get(name) or Member(target=name)) for name in names],
        "remarks": [*several.frontier.notes, *waiting],
        "again": sections.again(several.recorded, several.folder),
    }


def _target(several: Several, name: str, member: Member) -> dict[str, Any]:
    """The row of a target; its own report is linked where it is there."""
    from decig.report.sections import cell

    original = several.runs[name].figures.original_latency_ms if name in several.runs else None
    measured, predicted = member.measured_latency_ms, member.predicted_latency_ms
    ms = predicted if measured is None else measured
    cells = [
        cell(member.target_latency_ms, ".2f"),
        cell(measured, ".2f"),
        cell(predicted, ".2f"),
        cell(original / ms if original and ms else None, ".2f"),
        cell(member.ssim, ".4f"),
        cell(member.psnr_db, ".2f"),
        cell(member.params, ",d"),
    ]
    there = (several.folder / name / FILE).exists()
    return {"name": name, "cells": cells, "report": f"{quote(name)}/{FILE}" if there else ""}
