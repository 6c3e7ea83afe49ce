import click
import pytest

from decig.cli.endings import EXIT_CODES, explain
from tests.cli.failures import FAILURES


@pytest.mark.parametrize(("error", "code", "line"), FAILURES)
def test_whatever_ends_a_command_is_one_line_and_an_exit_code(error, code, line):
    assert explain(error) == (code, line.removeprefix("decig: "))


def test_wrong_usage_names_the_help_of_the_command():
    error = click.UsageError("no such thing", click.Context(click.Command("slice"), info_name="s"))
    assert explain(error) == (2, "error: no such thing. See s --help")
    assert explain(click.UsageError("why?")) == (2, "error: why? See decig --help")


def test_every_exit_code_is_listed():
    listed = {int(part.split()[0]) for part in EXIT_CODES.removeprefix("Exit codes: ").split("; ")}
    assert listed == {0, *(code for _, code, _ in FAILURES)}
