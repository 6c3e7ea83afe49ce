"""What the pages of all contests have in common: how they begin, and how they are written."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contest import Contest
from goals import Effort
from judge import Entry

from decig import __version__
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.files import write_bytes, write_json


def command(script: str, effort: Effort, *more: str, out: str | None = None) -> str:
    """The command that repeats a contest.

    Args:
        script: name of the benchmark.
        effort: of each compression.
        more: further options.
        out: name of its folder in runs/; that of the benchmark if None.
    """
    parts = [f"python benchmarks/{script}.py", *more, effort.said(), f"--out runs/{out or script}"]
    return " ".join(parts)


def heading(title: str, command: str, *remarks: str) -> list[str]:
    """The first lines of a page: its title, the command, and where it ran.

    Args:
        title: of the page.
        command: that writes the page.
        remarks: sentences behind the name of the machine.
    """
    device = Device.of().fingerprint()
    where = (
        f"{device.cpu}, {device.cores} cores, one thread per model, ONNX Runtime "
        f"{device.onnxruntime}."
    )
    made = f"`{command}`, decig {__version__}, {datetime.date.today().isoformat()}."
    return [f"# {title}", "", made, "", " ".join([where, *remarks]), ""]


def finished(contest: Contest) -> dict[str, list[Entry]]:
    """Finished results of a contest by the labels of its targets.

    Raises:
        DecigError: there is none.
    """
    found = {target.label: contest.entries(target) for target in contest.targets}
    if not any(found.values()):
        raise DecigError(f"{contest.out}: no finished run to judge")
    return found


def write_page(results: Path, name: str, page: Sequence[str], figures: Any) -> None:
    """Write a page and its figures, and print the page.

    Args:
        results: folder that they go to; it is made.
        name: of the files NAME.md and NAME.json.
        page: lines.
        figures: JSON values.
    """
    results.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*page, ""])
    write_json(results / f"{name}.json", figures)
    write_bytes(results / f"{name}.md", text.encode())
    print(text)
