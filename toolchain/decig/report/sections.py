"""The parts of the report of a run, as its template takes them."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from decig import repeating
from decig.data.halves import Part
from decig.records import Search, Trial
from decig.repeating import Recorded
from decig.report import costs, plots
from decig.report.evidence import Evidence
from decig.report.inspection import REST

WORST = 3
"""Pictures that are marked as the worst."""
UNKNOWN = "\N{EN DASH}"
"""Stands in tables where a figure is not known."""
_FIRST_NODES = 12
"""Nodes that are shown at once; the others can be unfolded."""
_CARDS = 24
"""Groups that are drawn: those that save the most time."""


def cell(value: float | None, form: str) -> str:
    """Format a figure of a table; a dash where it is not known."""
    return UNKNOWN if value is None else format(value, form)


def gaps(evidence: Evidence, lost: Sequence[str]) -> list[str]:
    """What the report cannot show, and why.

    Args:
        evidence: of the run.
        lost: files of pictures that are missing or not readable.
    """
    lines = [f"{name}: the run did not write it down" for name in evidence.missing]
    lines += [f"{file}: missing, or not readable" for file in lost]
    model, images = evidence.asked.model.path, evidence.asked.images
    gone = {"the original model": model} if model and not Path(model).exists() else {}
    if images and not Part.of(Path(images)).exists:
        gone["the folder of images"] = images
    for what, path in gone.items():
        lines.append(f"{what}, {path}, is not there any more; the run kept what is shown")
    return lines


def picture_note(evidence: Evidence, shown: int) -> str:
    """Say which pictures are shown; `shown` is how many."""
    pictures = evidence.pictures
    if pictures is None:
        return ""
    count = len(pictures.pictures)
    which = f"All {count}" if shown == count else f"{shown} of {count}"
    return (
        f"{which} pictures that training never saw, at {pictures.width} x {pictures.height} "
        f"pixels, those least like the original's first; the worst {min(WORST, shown)} are marked. "
        "Move the slider, or let the two views flicker."
    )


def nodes(evidence: Evidence) -> dict[str, Any] | None:
    """Latency by node; None where that is not known."""
    table, times = evidence.table, evidence.nodes
    if table is None or times is None:
        return None
    changes = costs.by_node(table, times)
    if not changes:
        return None
    how = "measured" if times.measured else "predicted by the cost table"
    rewritten = "; both with the exact rewrites that pay on this device" if table.rewrites else ""
    note = (
        f"Times before are those of the cost table, times after are {how}{rewritten}. A node that "
        "was fused into another one takes no time of its own. The hatched bar is before, the solid "
        "one after."
    )
    return {
        "note": note,
        "first": changes[:_FIRST_NODES],
        "rest": changes[_FIRST_NODES:],
        "most": max(max(change.before_ms, change.after_ms) for change in changes),
    }


def groups(evidence: Evidence) -> dict[str, Any] | None:
    """Channel groups, drawn and as a table; None where no plan is known."""
    channels, kept, table = evidence.channels, evidence.kept, evidence.table
    if not channels or kept is None:
        return None
    changes = {}
    if table is not None and evidence.nodes is not None:
        changes = costs.by_group(table, evidence.nodes)
    cards = _cards(evidence, channels, kept, changes)
    trained = evidence.scores is not None and evidence.scores.graph == "trained"
    of = "what the method had trained before it was cut" if trained else "the original"
    fewer = f" The {len(cards)} that save the most are drawn."
    note = (
        "Channels that are added to each other are cut together, as one group. A score is what one "
        f"more channel gives to those that read the group, in {of}; its axis is logarithmic. The "
        "milliseconds of a node belong to the groups whose channels it puts out, so all rows add "
        f"up to the model.{fewer if 0 < len(cards) < len(channels) else ''}"
    )
    return {"note": note, "cards": cards, "rows": _rows(evidence, channels, kept, changes)}


def _rows(
    evidence: Evidence,
    channels: Mapping[str, int],
    kept: Mapping[str, int],
    changes: Mapping[str, costs.Change],
) -> list[dict[str, Any]]:
    scores = [] if evidence.scores is None else evidence.scores.groups
    hinges = {group.name: group.hinge for group in scores}
    rows = [
        {
            "name": name,
            "cells": [
                str(width),
                str(kept.get(name, width)),
                cell(hinges.get(name), "d"),
                *_three(changes.get(name)),
            ],
        }
        for name, width in channels.items()
    ]
    rest = [name for name in changes if name not in channels]
    named = [("no group" if name == REST else name, changes[name]) for name in rest]
    return rows + [{"name": n, "cells": [UNKNOWN] * 3 + _three(change)} for n, change in named]


def _three(change: costs.Change | None) -> list[str]:
    """Milliseconds before, after and saved."""
    if change is None:
        return [UNKNOWN] * 3
    return [f"{ms:.2f}" for ms in (change.before_ms, change.after_ms, change.saved_ms)]


def _cards(
    evidence: Evidence,
    channels: Mapping[str, int],
    kept: Mapping[str, int],
    changes: Mapping[str, costs.Change],
) -> list[dict[str, Any]]:
    """The groups that save the most, in the order of the graph, with their scores drawn."""
    known = {} if evidence.scores is None else {g.name: g for g in evidence.scores.groups}

    def saved(name: str) -> float:
        return changes[name].saved_ms if name in changes else 0.0

    drawn = sorted((name for name in channels if name in known), key=lambda name: -saved(name))
    return [
        {
            "name": name,
            "channels": channels[name],
            "kept": kept.get(name, channels[name]),
            "saved": f"{saved(name):.2f}" if name in changes else "",
            "plot": Markup(plots.scores(known[name], kept.get(name, channels[name]))),
        }
        for name in channels
        if name in drawn[:_CARDS]
    ]


def search(found: Search) -> dict[str, Any]:
    """How widths were found for a latency."""
    tried, measured = len(found.trials), sum(len(trial.measured_ms) for trial in found.trials)
    how = f"with {measured} measurements" if measured > 1 else "and measured once"
    plans = f"{tried} plan{'s were' if tried > 1 else ' was'}"
    note = (
        f"For {found.target_ms:.2f} {found.unit}, {plans} tried "
        f"{how if measured else 'by prediction alone'}. Of those that fit, the one that gives the "
        "least importance away is taken."
    )
    return {
        "note": note,
        "rows": [_trial(trial) for trial in found.trials],
        "plot": Markup(plots.planning(found)) if found.trials else "",
        "target": f"{found.target_ms:.2f} {found.unit}",
        "unit": found.unit,
    }


def _trial(trial: Trial) -> dict[str, Any]:
    middle = float(np.median(trial.measured_ms)) if trial.measured_ms else None
    cells = [
        f"{trial.predicted_ms:.2f}",
        ", ".join(f"{ms:.2f}" for ms in trial.measured_ms) or UNKNOWN,
        cell(trial.predicted_ms / middle - 1 if middle else None, "+z.1%"),
        f"{sum(trial.widths.values()):,}",
        f"{trial.loss:.4g}",
    ]
    outcome = "taken" if trial.chosen else "fits" if trial.fits else "too slow"
    return {"cells": cells, "outcome": outcome}


def training(evidence: Evidence) -> dict[str, Any] | None:
    """How training went; None where that is not known."""
    curve = evidence.curve
    if not curve:
        return None
    names = plots.figures_of(curve)
    rows = []
    for step in dict.fromkeys(point.step for point in curve):
        for name in names:
            found = [point.figures.get(name) for point in curve if point.step == step]
            values = [value for value in found if value is not None]
            if values:
                ends = (f"{values[place]:.4g}" for place in (0, -1))
                rows.append((step, name.replace("_", " "), *ends))
    note = (
        f"{len(curve)} moments of training, at most one per second. SSIM is taken now and then in "
        "a step, of a few pictures that training never sees. A thin line is the loss of single "
        "batches, a thick one its mean over neighbours."
    )
    return {
        "note": note,
        "plots": [Markup(plots.training(curve, name)) for name in names],
        "rows": rows,
    }


def again(recorded: Recorded | None, folder: Path) -> dict[str, str]:
    """The commands that repeat a run: from its record, and as it was typed."""
    if recorded is None:
        return {"note": "The run did not write down what was typed.", "text": ""}
    lines = [f"decig {recorded.command}"]
    for word in map(shlex.quote, recorded.arguments):
        if word.startswith("-"):
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    typed = " \\\n    ".join(lines)
    file = shlex.quote(str(folder.absolute() / repeating.FILE))
    note = "The first line repeats the run and says what differs. Below it stands what was typed."
    return {
        "note": note,
        "text": f"decig compress --locked {file}\n\ncd {shlex.quote(recorded.folder)}\n{typed}",
    }


def tables(evidence: Evidence) -> list[dict[str, Any]]:
    """Whatever else it takes to repeat a run, as rows of name and value."""
    found = []
    for number, session in enumerate(evidence.sessions, 1):
        rows = {"began": session.began, "machine": session.machine, **session.versions}
        if session.processes > 1:
            rows["processes"] = str(session.processes)
        which = f", start {number}" if len(evidence.sessions) > 1 else ""
        found.append({"title": f"Versions{which}", "rows": list(rows.items())})
    if evidence.device is not None:
        parts = evidence.device.to_dict().items()
        pairs = [(name.replace("_", " "), _plain(value)) for name, value in parts]
        found.append({"title": "Fingerprint of the device", "rows": pairs})
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
    return [*found, {"title": "Model and settings", "rows": list(rows.items())}]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        parts = (f"{key} {part}" for key, part in value.items() if part is not None)
        return ", ".join(parts) or "none"
    return "none" if value is None else str(value)
