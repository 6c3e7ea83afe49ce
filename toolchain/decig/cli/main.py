"""The program `decig`: the group of all commands. Each command has a file of its own here."""

import click

from decig import __version__
from decig.cli.check import check
from decig.cli.compress import compress
from decig.cli.doctor import doctor
from decig.cli.endings import EXIT_CODES
from decig.cli.export import export
from decig.cli.inspect import inspect
from decig.cli.process import Program, debug_option
from decig.cli.profile import profile
from decig.cli.report import report
from decig.cli.slice import slice_command
from decig.cli.train import train


@click.group(
    cls=Program, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="decig")
@debug_option
def main() -> None:
    """Make a trained image generator fit the machine it runs on."""


# In the order of work, as the help shows them.
_COMMANDS = (
    train,
    inspect,
    profile,
    slice_command,
    compress,
    export,
    check,
    report,
    doctor,
)
for _command in _COMMANDS:
    main.add_command(_command)
