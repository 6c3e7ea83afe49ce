"""docs/commands.md, the reference of all commands, made from the code of the commands."""

import inspect
import re

import click

from decig.cli.endings import EXIT_CODES
from decig.cli.main import main

PAGE = "docs/commands.md"

_HEAD = """\
# Commands

This page is made from the code (`make reference`), so it lists every option that there is. The
[tutorials](README.md#tutorials) show the commands at work, and the
[guides](README.md#guides) explain what stands behind an option.

Three things hold for every command:

- `--help` (or `-h`) prints what this page says of it.
- An error is one line that names the file, the node or the option, and says what to do. `--debug`
  adds the traceback. [Troubleshooting](troubleshooting.md) lists the usual messages.
- With `--json`, standard output holds one JSON object and nothing else. Where the command fails,
  that object is `{"error": ..., "exit_code": ...}`.

"""


def page() -> str:
    """The whole page, in Markdown."""
    codes = EXIT_CODES.removeprefix("Exit codes: ").rstrip(".").split("; ")
    rows = (code.partition(" ") for code in codes)
    exit_codes = table(("exit code", "meaning"), [(code, what) for code, _, what in rows])
    listed = [
        (f"[`decig {name}`](#decig-{name})", _first_line(command))
        for name, command in main.commands.items()
    ]
    parts = [_HEAD, exit_codes, "\n", table(("command", "what it does"), listed)]
    parts += [_section(name, command) for name, command in main.commands.items()]
    return "".join(parts)


def _section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"decig {name}")
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    usage = " ".join([f"decig {name}", *(a.human_readable_name for a in arguments), "[OPTIONS]"])
    lines = "\n".join(f"{line}\n" for line in _paragraphs(command))
    must = getattr(command, "required_one", ())
    one = " or ".join(f"`{_flags(p)}`" for p in options if p.name in must)
    given = f"One of {one} must be given.\n\n" if one else ""
    listed = table(("option", "value", "meaning"), [_row(option) for option in options])
    return f"\n## decig {name}\n\n```text\n{usage}\n```\n\n{lines}\n{given}{listed}"


def _row(option: click.Option) -> tuple[str, str, str]:
    notes = [option.help or ""]
    notes += ["**Required.**"] if option.required else []
    notes += ["May be given several times."] if option.multiple else []
    return f"`{_flags(option)}`", _value(option), " ".join(filter(None, notes))


def _flags(option: click.Option) -> str:
    return ", ".join([*option.opts, *option.secondary_opts])


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    return f"`{option.metavar or option.type.name.upper()}`"


def _paragraphs(command: click.Command) -> list[str]:
    return re.split(r"\n\n+", inspect.cleandoc(command.help or ""))


def _first_line(command: click.Command) -> str:
    return _paragraphs(command)[0].replace("\n", " ")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    shown = [head, tuple("---" for _ in head), *(tuple(map(_cell, row)) for row in rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in shown)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
