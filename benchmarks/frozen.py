"""How much of generators' multiply-accumulates no plan can cut, and why.

    python benchmarks/frozen.py [--only FAMILY]... [--exports runs/frozen] [--before OLD.json]

A multiply-accumulate is frozen if neither the channel that it reads nor the one that it makes can
go; it goes with one side only if one of them can. `frozen_macs.py` says how that is counted, and
`frozen_nets.py` has the graphs: ../shared/suite and ../shared/cases, models/, the blocks of
blocks.py, and published architectures (pip install --no-deps spandrel spandrel_extra_arches
einops). What is absent is skipped, and the table says why. Nothing is timed. 20 minutes at first,
2 minutes when the published architectures stand in the folder --exports already.
"""

import json
import logging
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
from frozen_macs import PICTURE, frozen_macs
from frozen_nets import Net, every

from decig.cli.values import FOLDER
from decig.device.run.fingerprint import cpu_model
from decig.errors import DecigError
from decig.files import write_bytes, write_json

RESULTS = Path(__file__).parent / "results"
_BESIDE = Path(__file__).resolve().parents[2]
"""Folder of the checkout, which means nothing on other machines."""
Row = dict[str, Any]


def row_of(net: Net, exports: Path) -> Row:
    """Count the frozen multiply-accumulates of one graph.

    Returns:
        Shares of all its multiply-accumulates, by kind; or the reason why there are none.
    """
    row: Row = {"family": net.family, "name": net.name}
    try:
        found = frozen_macs(net.load(exports).proto)
    except DecigError as error:
        return row | {"skipped": str(error).replace(f"{_BESIDE}/", "../")}
    if not found.total:
        return row | {"skipped": "it has no multiply-accumulates"}
    return row | {
        "macs": found.total,
        "frozen": {kind: round(part / found.total, 5) for kind, part in found.frozen.items()},
        "one_sided": {kind: round(part / found.total, 5) for kind, part in found.one_sided.items()},
        "examples": found.examples,
    }


def share(row: Row, table: str) -> float:
    """Share of a graph in one of its tables, without that of the picture itself."""
    return float(sum(part for kind, part in row[table].items() if kind != PICTURE))


def kinds(rows: list[Row], before: list[Row] | None) -> list[str]:
    """Mean share of every kind over the graphs, the largest first."""
    lines = [
        "| kind | graphs | frozen, mean | frozen, most | one side only, mean |"
        + (" before: frozen | before: one side |" if before else ""),
        "| --- | ---: | ---: | --- | ---: |" + (" ---: | ---: |" if before else ""),
    ]
    totals: dict[str, float] = defaultdict(float)
    for row in [*rows, *(before or [])]:
        for kind in (*row["frozen"], *row["one_sided"]):
            totals[kind] += row["frozen"].get(kind, 0) + row["one_sided"].get(kind, 0)
    for kind in sorted(filter(totals.get, totals), key=totals.__getitem__, reverse=True):
        touched = [r for r in rows if any(r[t].get(kind, 0) > 0 for t in ("frozen", "one_sided"))]
        most = max(rows, key=lambda row: row["frozen"].get(kind, 0.0))
        worst = f"{most['frozen'].get(kind, 0):.1%} {most['name']}" if touched else "-"
        cells = [kind, str(len(touched)), _mean(rows, "frozen", kind), worst]
        cells.append(_mean(rows, "one_sided", kind))
        if before:
            cells += [_mean(before, table, kind) for table in ("frozen", "one_sided")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _mean(rows: list[Row], table: str, kind: str) -> str:
    return f"{sum(row[table].get(kind, 0.0) for row in rows) / len(rows):.2%}"


def graphs(rows: list[Row], before: list[Row] | None) -> list[str]:
    """One line per graph, with what is frozen in it."""
    old = {(row["family"], row["name"]): row for row in before or []}
    head = "| from | graph | GMACs | frozen | one side only | kinds |"
    rule = "| --- | --- | ---: | ---: | ---: | --- |"
    if before:
        head, rule = f"{head} before: frozen | before: one side |", f"{rule} ---: | ---: |"
    lines = [head, rule]
    for row in sorted(rows, key=lambda row: -share(row, "frozen") - share(row, "one_sided")):
        listed = {**row["one_sided"], **row["frozen"]}
        shown = [kind for kind in listed if kind != PICTURE and listed[kind] >= 0.0005]
        cells = [row["family"], row["name"], f"{row['macs'] / 1e9:.2f}"]
        cells += [f"{share(row, table):.1%}" for table in ("frozen", "one_sided")]
        cells.append("; ".join(sorted(shown, key=listed.__getitem__, reverse=True)))
        if before:
            was = old.get((row["family"], row["name"]))
            cells += [
                f"{share(was, table):.1%}" if was else "-" for table in ("frozen", "one_sided")
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def report(rows: list[Row], command: str, before: list[Row] | None) -> str:
    """Write the tables as Markdown."""
    counted = [row for row in rows if "macs" in row]
    here = {(row["family"], row["name"]) for row in counted}  # like with like
    earlier = [
        row for row in before or [] if "macs" in row and (row["family"], row["name"]) in here
    ] or None
    lines = [
        "# Frozen multiply-accumulates",
        "",
        f"`{command}` on {cpu_model()}; the counts are the same on every machine.",
        "",
        f"Means over {len(counted)} graphs. Multiply-accumulates between the picture that goes in "
        f"and the one that comes out are no fault and stand in no share of a graph below; their "
        f'line here is "{PICTURE}".',
        "",
        *kinds(counted, earlier),
        "",
        "## By graph",
        "",
        *graphs(counted, earlier),
        "",
    ]
    skipped = [row for row in rows if "skipped" in row]
    if skipped:
        lines += ["## Skipped", "", *(f"- {r['name']}: {r['skipped']}" for r in skipped), ""]
    return "\n".join(lines)


@click.command()
@click.option("--only", multiple=True, help="Family of graphs: suite, cases, models, blocks ...")
@click.option("--shared", type=FOLDER, default=None, help="Instead of ../shared.")
@click.option("--exports", type=FOLDER, default=Path("runs/frozen"), show_default=True)
@click.option("--before", type=click.Path(exists=True, path_type=Path), help="An earlier JSON.")
@click.option("--results", type=FOLDER, default=RESULTS)
def main(
    only: tuple[str, ...], shared: Path | None, exports: Path, before: Path | None, results: Path
) -> None:
    """Print the tables and write them to frozen.md and frozen.json."""
    logging.disable(logging.WARNING)
    try:
        _run(only, shared, exports, before, results)
    finally:
        logging.disable(logging.NOTSET)


def _run(
    only: tuple[str, ...], shared: Path | None, exports: Path, before: Path | None, results: Path
) -> None:
    earlier = None if before is None else json.loads(before.read_text(encoding="utf-8"))["graphs"]
    rows = []
    for net in every() if shared is None else every(shared):
        if not only or net.family in only:
            rows.append(row_of(net, exports))
            click.echo(f"{net.family} {net.name}", err=True)
    if not any("macs" in row for row in rows):
        reasons = "; ".join(f"{row['name']}: {row['skipped']}" for row in rows)
        raise click.ClickException(f"no graph was counted: {reasons or 'no such family'}")
    command = " ".join(["python benchmarks/frozen.py", *(f"--only {family}" for family in only)])
    text = report(rows, command, earlier)
    results.mkdir(parents=True, exist_ok=True)
    machine = {"cpu": cpu_model(), "python": sys.version.split()[0]}
    write_json(results / "frozen.json", {"command": command, "machine": machine, "graphs": rows})
    write_bytes(results / "frozen.md", text.encode())
    click.echo(text)


if __name__ == "__main__":
    main()
