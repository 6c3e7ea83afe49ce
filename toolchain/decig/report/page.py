"""Writing the report of a run: one HTML file that loads nothing."""

import logging
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from decig import __version__, extras
from decig.errors import BadInputError
from decig.files import write_bytes
from decig.records import Search
from decig.report import costs, verdict
from decig.report.evidence import Command, Evidence, Several, is_several, not_a_run
from decig.report.inspection import REST
from decig.report.pictures import exhibits

FILE = "report.html"
"""Name of the report in a run folder."""
_EXTRA, _NEEDED = "report", ("jinja2", "matplotlib")
_FIRST_NODES = 12
"""Nodes that are shown at once; the others can be unfolded."""
_CARDS = 24
"""Groups that are drawn: those that save the most time."""
_WORST = 3
"""Pictures that are marked as the worst."""

_log = logging.getLogger(__name__)


def require_packages() -> None:
    """Check that the optional part of decig is installed that reports need.

    Raises:
        BadInputError: it is not; names the line that installs it.
    """
    extras.require("decig report", _EXTRA, _NEEDED)


def write_where_possible(folder: Path) -> Path | None:
    """Write the report of a run into its folder, as `decig compress` does when it is done.

    Where that is not possible, one line says why: what was trained is there all the same.

    Returns:
        The file; None where none was written.
    """
    if extras.missing(_NEEDED) is not None:
        _log.info(
            "no %s: for one, pip install 'decig[%s]' and decig report %s",
            FILE,
            _EXTRA,
            shlex.quote(str(folder)),
        )
        return None
    file = folder / FILE
    write(folder, file)
    return file


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
    data = content.encode()
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
    figures = evidence.figures
    shown, lost = [], []
    if evidence.pictures is not None:
        shown, lost = exhibits(evidence.folder, evidence.pictures, worst=_WORST)
    context: dict[str, Any] = {
        "name": evidence.folder.absolute().name,
        "verdict": verdict.judge(evidence),
        "stages": verdict.stages(evidence),
        "spread": verdict.spread(figures),
        "warnings": figures.warnings,
        "gaps": _gaps(evidence, lost),
        "exhibits": shown,
        "picture_note": _picture_note(evidence, len(shown)),
        "nodes": _nodes(evidence),
        "groups": _groups(evidence),
        "searches": [_search(search) for search in evidence.searches],
        "training": _training(evidence),
        "again": _again(evidence.command),
        "tables": _tables(evidence),
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

    from decig.report import plots

    done = {member.target: member for member in several.frontier.targets}
    rows = []
    for name in dict.fromkeys([*done, *several.runs]):
        member, run = done.get(name), several.runs.get(name)
        original = run.figures.original_latency_ms if run is not None else None
        ms = member and (member.measured_latency_ms or member.predicted_latency_ms)
        cells = [
            _cell(member and member.target_latency_ms, ".2f"),
            _cell(member and member.measured_latency_ms, ".2f"),
            _cell(member and member.predicted_latency_ms, ".2f"),
            _cell(original / ms if original and ms else None, ".2f"),
            _cell(member and member.ssim, ".4f"),
            _cell(member and member.psnr_db, ".2f"),
            _cell(member and member.params, ",d"),
        ]
        report = f"{name}/{FILE}" if (several.folder / name / FILE).exists() else ""
        rows.append({"name": name, "cells": cells, "report": report})
    waiting = [name for name in several.runs if name not in done]
    remarks = [f"{name} has not finished" for name in waiting]
    plot = Markup(plots.frontier(several.frontier.targets)) if done else ""
    return {
        "name": several.folder.absolute().name,
        "headline": f"{len(done)} of {len(rows)} targets done",
        "plot": plot,
        "rows": rows,
        "remarks": [*several.frontier.notes, *remarks],
        "again": _again(several.command),
    }


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _gaps(evidence: Evidence, lost: Sequence[str]) -> list[str]:
    """What the report cannot show, and why."""
    lines = [f"{name}: the run did not write it down" for name in evidence.missing]
    lines += [f"{file}: missing, or not readable" for file in lost]
    model, images = evidence.asked.model.path, evidence.asked.images
    for what, path in (("the original model", model), ("the folder of images", images)):
        if path and not Path(path).exists():
            lines.append(f"{what}, {path}, is not there any more; the run remembers what is shown")
    return lines


def _picture_note(evidence: Evidence, shown: int) -> str:
    pictures = evidence.pictures
    if pictures is None:
        return ""
    count = len(pictures.pictures)
    which = "All" if shown == count else f"{shown} of"
    return (
        f"{which} {count} pictures that training never saw, at {pictures.width} x "
        f"{pictures.height} pixels, those least like the original's first; the {min(_WORST, shown)} "
        "worst are marked. Move the slider, or let the two views flicker."
    )


def _nodes(evidence: Evidence) -> dict[str, Any] | None:
    table, nodes = evidence.table, evidence.nodes
    if table is None or nodes is None:
        return None
    changes = costs.by_node(table, nodes)
    if not changes:
        return None
    how = "measured" if nodes.measured else "predicted by the cost table"
    rewritten = "both with the exact rewrites that pay on this device" if table.rewrites else ""
    note = (
        f"Times before are those of the cost table, times after are {how}"
        f"{f'; {rewritten}' if rewritten else ''}. A node that was fused into another one takes no "
        "time of its own. The hatched bar is before, the solid one after."
    )
    most = max(max(change.before_ms, change.after_ms) for change in changes)
    return {
        "note": note,
        "first": changes[:_FIRST_NODES],
        "rest": changes[_FIRST_NODES:],
        "most": most,
    }


def _groups(evidence: Evidence) -> dict[str, Any] | None:
    from markupsafe import Markup

    from decig.report import plots

    table, kept, scores = evidence.table, evidence.kept, evidence.scores
    if table is None or kept is None:
        return None
    known = {} if scores is None else {group.name: group for group in scores.groups}
    changes = {} if evidence.nodes is None else costs.by_group(table, evidence.nodes)
    rows, saved = [], {}
    for name, channels in table.groups.items():
        change, left = changes.get(name), kept.get(name, channels)
        saved[name] = change.saved_ms if change is not None else 0.0
        hinge = known[name].hinge if name in known else None
        cells = [str(channels), str(left), _cell(hinge, "d"), *_three(change)]
        rows.append({"name": name, "cells": cells})
    if REST in changes:
        rows.append({"name": "no group", "cells": ["–", "–", "–", *_three(changes[REST])]})
    drawn = sorted((name for name in table.groups if name in known), key=lambda n: -saved[n])
    drawn = drawn[:_CARDS]
    cards = [
        {
            "name": name,
            "channels": table.groups[name],
            "kept": kept.get(name, table.groups[name]),
            "saved": f"{saved[name]:.2f}" if name in changes else "",
            "plot": Markup(plots.scores(known[name], kept.get(name, table.groups[name]))),
        }
        for name in table.groups
        if name in drawn
    ]
    of = "what a method had trained before it was cut" if _trained(evidence) else "the original"
    fewer = f" The {_CARDS} that save the most are drawn." if len(drawn) < len(table.groups) else ""
    note = (
        "Channels that are added to each other are cut together, as one group. A score is what the "
        f"channel adds to what the group's readers see, on {of}; its axis is logarithmic. The "
        "milliseconds of a node belong to the groups whose channels it puts out, so all rows add "
        f"up to the model.{fewer}"
    )
    return {"note": note, "cards": cards, "rows": rows}


def _trained(evidence: Evidence) -> bool:
    return evidence.scores is not None and evidence.scores.graph == "trained"


def _three(change: costs.Change | None) -> list[str]:
    if change is None:
        return ["–", "–", "–"]
    return [f"{ms:.2f}" for ms in (change.before_ms, change.after_ms, change.saved_ms)]


def _search(search: Search) -> dict[str, Any]:
    from markupsafe import Markup

    from decig.report import plots

    rows = []
    for trial in search.trials:
        measured = trial.measured_ms
        middle = sorted(measured)[len(measured) // 2] if measured else None
        error = "–" if middle is None else f"{trial.predicted_ms / middle - 1:+.1%}"
        outcome = "taken" if trial.chosen else "fits" if trial.fits else "too slow"
        cells = [
            f"{trial.predicted_ms:.2f}",
            ", ".join(f"{ms:.2f}" for ms in measured) or "–",
            error,
            f"{sum(trial.widths.values()):,}",
            f"{trial.loss:.4g}",
        ]
        rows.append({"cells": cells, "outcome": outcome})
    tried = len(search.trials)
    measured = sum(len(trial.measured_ms) for trial in search.trials)
    how = f"with {measured} measurements" if measured > 1 else "and measured once"
    how = how if measured else "by prediction alone"
    note = (
        f"For {search.target_ms:.2f} ms, {tried} plan{'s were' if tried > 1 else ' was'} tried "
        f"{how}. Of those that fit, the one that gives the least importance away is taken."
    )
    plot = Markup(plots.planning(search)) if search.trials else ""
    return {"note": note, "rows": rows, "plot": plot, "target": f"{search.target_ms:.2f}"}


def _training(evidence: Evidence) -> dict[str, Any] | None:
    from markupsafe import Markup

    from decig.report import plots

    curve = evidence.curve
    if not curve:
        return None
    names = plots.figures_of(curve)
    rows = []
    for step in dict.fromkeys(point.step for point in curve):
        for name in names:
            found = [p.figures.get(name) for p in curve if p.step == step]
            values = [value for value in found if value is not None]
            if values:
                label = name.replace("_", " ")
                rows.append((step, label, f"{values[0]:.4g}", f"{values[-1]:.4g}"))
    note = (
        f"{len(curve)} moments of training, at most one per second. SSIM is looked at 20 times in a "
        "step, on pictures that training never sees."
    )
    return {"note": note, "plots": [Markup(plots.training(curve, n)) for n in names], "rows": rows}


def _again(command: Command | None) -> dict[str, str]:
    """The command that repeats a run, as it was typed."""
    if command is None or not command.arguments:
        return {"note": "The run did not write down what was typed.", "text": ""}
    lines = [f"decig {command.command}"]
    for word in map(shlex.quote, command.arguments):
        if word.startswith("-"):
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    note = "What was typed. Give another --output-dir to repeat it beside this run."
    text = " \\\n    ".join(lines)
    return {"note": note, "text": f"cd {shlex.quote(command.folder)}\n{text}"}


def _tables(evidence: Evidence) -> list[dict[str, Any]]:
    """Whatever else it takes to repeat a run, as rows of name and value."""
    tables = []
    for number, session in enumerate(evidence.sessions, 1):
        rows = {"began": session.began, "machine": session.machine, **session.versions}
        if session.processes > 1:
            rows["processes"] = str(session.processes)
        count = f" of process {number}" if len(evidence.sessions) > 1 else ""
        tables.append({"title": f"Versions{count}", "rows": list(rows.items())})
    if evidence.device is not None:
        rows = {name.replace("_", " "): _plain(v) for name, v in evidence.device.to_dict().items()}
        tables.append({"title": "Fingerprint of the device", "rows": list(rows.items())})
    asked = evidence.asked
    rows = {
        "original": asked.model.path,
        "sha256 of the original": asked.model.sha256,
        "images": asked.images or "none",
        "method": asked.method,
        "budget": _plain(asked.budget),
        "exact rewrites": ", ".join(evidence.figures.rewrites) or "none",
    }
    for table, settings in asked.settings.items():
        rows |= {f"[{table}] {key}": _plain(value) for key, value in settings.items()}
    tables.append({"title": "Model and settings", "rows": list(rows.items())})
    return tables


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        parts = (f"{key} {part}" for key, part in value.items() if part is not None)
        return ", ".join(parts) or "none"
    return "none" if value is None else str(value)
