import errno
import logging

import click
import pytest
from click.testing import CliRunner

from decig.cli.process import Commands, debug_option
from decig.errors import BadInputError, DecigError, TargetMissedError


def run(error, *flags, before=()):
    @click.group(cls=Commands)
    @debug_option
    def group():
        pass

    @group.command()
    @debug_option
    def work():
        logging.getLogger("decig.work").debug("at work")
        logging.getLogger("decig.work").warning("careful")
        if error is not None:
            raise error

    return CliRunner().invoke(group, [*before, "work", *flags])


def stopped():
    error = DecigError("stopped at step 7; go on with --resume")
    error.__cause__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DecigError("it broke"), 1, "decig: error: it broke"),
        (BadInputError("x.onnx: no"), 2, "decig: error: x.onnx: no"),
        (TargetMissedError("too slow"), 3, "decig: error: too slow"),
        (KeyboardInterrupt(), 130, "decig: interrupted"),
        (stopped(), 130, "decig: error: stopped at step 7; go on with --resume"),
        (MemoryError(), 1, "decig: error: out of memory"),
        (OSError(errno.ENOSPC, "No space", "/tmp/x"), 1, "decig: error: /tmp/x: the disk is full"),
        (
            ValueError("odd\nthing"),
            1,
            "decig: internal error: ValueError: odd (run again with --debug)",
        ),
    ],
)
def test_every_failure_is_one_line_and_an_exit_code(error, code, line):
    result = run(error)
    assert result.exit_code == code
    assert result.stderr.strip().splitlines() == ["warning: careful", line] or (
        result.stderr.strip().splitlines() == ["warning: careful", "", line]
    )
    assert result.stdout == ""


def test_success_is_0():
    assert run(None).exit_code == 0


def test_usage_errors_name_the_option_and_the_help():
    result = run(None, "--bogus")
    assert result.exit_code == 2
    assert result.stderr.startswith("decig: error: No such option '--bogus'.")
    assert result.stderr.endswith("See decig work --help\n")


@pytest.mark.parametrize("flags", [{"before": ("--debug",)}, {}])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(flags):
    result = run(BadInputError("no"), *(() if flags else ("--debug",)), **flags)
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "at work" in result.stderr
