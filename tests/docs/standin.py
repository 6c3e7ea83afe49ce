"""`decig` as the walks call it: the same command, made quick and independent of time.

    python -m tests.docs.standin compress ...

These rules change what a page says, and nothing else does:

- training takes 2 steps: `--budget T` and `--steps N` become `--steps 2`;
- `profile` measures with `--quick`. The table that it writes is then replaced by one that tells
  time by work, of a device that does not exist; `compress`, `slice` and `train` get `--force` with
  it. So no plan depends on how fast the machine is, or on how busy;
- limits of speed become loose: `--min-speedup 0.001`, `--max-latency 1000s`. Limits of pictures
  below 0.99 become loose too, because 2 steps teach nothing.

With DECIG_WITHOUT_TORCH in the environment there is no PyTorch, and tables stay as they were taken.
"""

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import click

WITHOUT_TORCH = "DECIG_WITHOUT_TORCH"
MADE_UP = "made-up-table.json"
_STEPS = ["--steps", "2"]
_LOOSE = {
    "--min-speedup": "0.001",
    "--max-latency": "1000s",
    "--min-psnr": "0.001",
    "--max-kid": "1000",
}
_NO_LIMIT, _UNMEETABLE = "-1", 0.99
"""SSIM that any pictures reach, and that no page means to be reached in a few steps."""


def hide_torch() -> None:
    """Make PyTorch as good as not installed: nothing finds it any more."""
    find = PathFinder.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name.partition(".")[0] in ("torch", "accelerate") else find(name, *rest)

    PathFinder.find_spec = without  # type: ignore[method-assign, assignment]


def changed(arguments: list[str]) -> list[str]:
    """Arguments of `decig` after the rules."""
    name, rest = arguments[0], list(arguments[1:])
    if name == "compress":
        rest = _without(rest, "--budget", "--steps")
        rest += [] if "--resume" in rest else [*_table(name, rest), *_STEPS]
    if name in ("slice", "train") and "--profile" in rest and "--force" not in rest:
        rest.append("--force")
    if name == "profile" and "--thorough" not in rest and "--quick" not in rest:
        rest.append("--quick")
    if name == "check":
        rest = _loosened(rest)
    return [name, *rest]


def _without(arguments: list[str], *options: str) -> list[str]:
    pairs = zip(["", *arguments], arguments, strict=False)
    return [each for before, each in pairs if not {before, each} & set(options)]


def _loosened(arguments: list[str]) -> list[str]:
    found = []
    for before, each in zip(["", *arguments], arguments, strict=False):
        if before == "--min-ssim" and float(each) < _UNMEETABLE:
            found.append(_NO_LIMIT)
        else:
            found.append(_LOOSE.get(before, each))
    return found


def _table(name: str, arguments: list[str]) -> list[str]:
    """What `compress` needs so that it measures nothing."""
    if "--profile" in arguments:
        return [] if "--force" in arguments else ["--force"]
    _write_table(name, arguments, Path(MADE_UP))
    return ["--profile", MADE_UP, "--force"]


def _write_table(name: str, arguments: list[str], path: Path) -> None:
    """Write the table of a device that does not exist, for the MODEL of a command."""
    from decig.cli.main import main as program
    from decig.cli.values import input_shape
    from decig.source.flags import PixelFlags
    from decig.source.resolve import resolve
    from tests.training.small import write_model_table

    command = program.commands[name]
    said, _, _ = command.make_parser(click.Context(command)).parse_args(list(arguments))
    shapes = dict(input_shape(text) for text in said.get("input_shapes", ()))
    weights = Path(said["weights"]) if "weights" in said else None
    own = said.get("batch_statistics")
    source = resolve(said["model"], PixelFlags(), shapes, weights, batch_statistics=own)
    write_model_table(path, source.model)


def main() -> None:
    """Run the command; ends with its exit code."""
    from decig.cli.main import main as program

    bare = os.environ.get(WITHOUT_TORCH)
    if bare:
        hide_torch()
    arguments = changed(sys.argv[1:]) if len(sys.argv) > 1 else []
    try:
        program(arguments)
    finally:
        if not bare and arguments[:1] == ["profile"] and "-o" in arguments:
            table = Path(arguments[arguments.index("-o") + 1])
            if table.is_file():
                _write_table("profile", arguments[1:], table)


if __name__ == "__main__":
    main()
