import json
import logging
import os
import signal
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from decig.cli.options import json_option
from decig.cli.process import Command, Program, debug_option, one_of, show
from decig.errors import BadInputError, TargetMissedError
from tests.cli.failures import FAILURES


def run(error, *flags, before=()):
    @click.group(cls=Program)
    @debug_option
    def group():
        pass

    @group.command()
    @json_option
    @debug_option
    def work(as_json):
        logging.getLogger("decig.work").debug("at work")
        logging.getLogger("decig.work").warning("careful")
        if error is not None:
            raise error

    return CliRunner().invoke(group, [*before, "work", *flags])


@pytest.mark.parametrize(("error", "code", "line"), FAILURES)
def test_every_failure_is_one_line_and_an_exit_code(error, code, line):
    result = run(error)
    assert result.exit_code == code
    assert result.stderr.strip().splitlines() == ["warning: careful", line] or (
        result.stderr.strip().splitlines() == ["warning: careful", "", line]
    )
    assert result.stdout == ""
    told = json.loads(run(error, "--json").stdout)
    message = line.removeprefix("decig: ").removeprefix("error: ")
    assert told == {"error": message, "exit_code": code}


def test_a_result_is_the_only_object():
    """What fails after the result was printed adds nothing to stdout."""

    @click.group(cls=Program)
    def group():
        pass

    @group.command()
    @json_option
    def work(as_json):
        show({"ssim": float("nan")}, as_json, print)
        raise TargetMissedError("too slow")

    result = CliRunner().invoke(group, ["work", "--json"])
    assert (result.exit_code, result.stdout) == (3, '{"ssim": null}\n')
    assert result.stderr == "decig: error: too slow\n"


@pytest.mark.parametrize(
    "result", [{"ssim": 1}, {"ssim": 1, "notices": ["a group is at its floor"]}]
)
def test_warnings_stand_in_the_json_once(result):
    @click.group(cls=Program)
    def group():
        pass

    @group.command()
    @json_option
    def work(as_json):
        log = logging.getLogger("decig.somewhere")
        for _ in range(2):
            log.warning("the written file has %s sizes", "fixed")
        for notice in result.get("notices", ()):
            log.warning("m.onnx: %s", notice)
        log.info("nothing to worry about")
        show(result, as_json, print)

    told = CliRunner().invoke(group, ["work", "--json"])
    listed = [*result.get("notices", ()), "the written file has fixed sizes"]
    assert json.loads(told.stdout) == {"ssim": 1, "notices": listed}
    assert told.stderr.count("the written file has fixed sizes") == 1
    again = CliRunner().invoke(group, ["work", "--json"])
    assert again.stdout == told.stdout


def test_sigterm_ends_a_command_as_ctrl_c_does():
    cleaned = []

    @click.group(cls=Program)
    def group():
        pass

    @group.command()
    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(group, ["work"])
    assert (result.exit_code, result.stderr.strip()) == (143, "decig: interrupted")
    assert cleaned and signal.getsignal(signal.SIGTERM) is before


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


def test_options_that_exclude_each_other():
    assert one_of({"keep": 0.5, "plan": None}, "keep", "plan") == "keep"
    assert one_of({"keep": None, "plan": None}, "keep", "plan") is None
    with pytest.raises(click.UsageError, match="--keep and --target-latency exclude"):
        one_of({"keep": 0.5, "target_latency": 2.0}, "keep", "target_latency")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--a", "1"), 0, ""),
        ((), 2, "Missing one of --a and --b."),
        (("--a", "1", "--b", "2"), 2, "--a and --b exclude each other."),
        (("--a", "1", "--a", "2"), 2, "--a is given 2 times; it takes one value."),
        (("--a", "1", "--many", "2", "--many", "3"), 0, ""),
    ],
)
def test_one_of_several_options_is_required(arguments, code, said):
    @click.group(cls=Program)
    def group():
        pass

    @group.command(cls=Command, required_one=("a", "b"))
    @click.option("--a")
    @click.option("--b")
    @click.option("--many", multiple=True)
    def work(**asked):
        pass

    result = CliRunner().invoke(group, ["work", *arguments])
    assert result.exit_code == code
    assert said in result.stderr


def test_a_reader_that_leaves_early_is_no_error():
    """As head does; and no encoding of a terminal lacks a name's letters."""
    program = (
        "from decig.cli.process import Program; import click\n"
        "@click.group(cls=Program)\ndef group(): pass\n"
        "@group.command()\n"
        "def many():\n for n in range(99999): print(n)\n"
        "@group.command()\ndef odd(): print('Stra\\u00dfe')\n"
        "group()"
    )
    command = f'{sys.executable} -c "$PROGRAM" many | head -1; echo ${{PIPESTATUS[0]}}'
    call = {"capture_output": True, "text": True, "timeout": 60, "check": True}
    environment = {**os.environ, "PROGRAM": program, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(["bash", "-c", command], env=environment, **call)
    assert (result.stdout, result.stderr) == ("0\n1\n", "")
    result = subprocess.run([sys.executable, "-c", program, "odd"], env=environment, **call)
    assert (result.stdout, result.stderr) == ("Stra\\xdfe\n", "")


PROGRAM = """
import click
from decig.cli.options import json_option
from decig.cli.process import Program, show
from decig.errors import DecigError
@click.group(cls=Program)
def group(): pass
@group.command()
@json_option
def good(as_json): show({"a": 1}, as_json, print)
@group.command()
@json_option
def bad(as_json): raise DecigError("it broke")
group()
"""


@pytest.mark.parametrize(
    ("command", "to", "code", "said"),
    [
        ("good", ">&-", 0, ""),
        ("good --json", ">&-", 0, ""),
        ("bad --json", ">&-", 1, "decig: error: it broke\n"),
        ("bad --json", "| true", 1, "decig: error: it broke\n"),
        ("bad --json", ">/dev/full", 1, "decig: error: it broke\n"),
    ],
)
def test_a_stdout_that_nobody_reads_changes_no_exit_code(command, to, code, said):
    waits = "sleep 1; " if to.startswith("|") else ""  # until the reader is gone
    line = f'({waits}"$PYTHON" -c "$PROGRAM" {command}) {to}; exit ${{PIPESTATUS[0]}}'
    environment = {**os.environ, "PROGRAM": PROGRAM, "PYTHON": sys.executable}
    call = {"env": environment, "capture_output": True, "text": True, "timeout": 60}
    result = subprocess.run(["bash", "-c", line], check=False, **call)
    assert (result.returncode, result.stderr) == (code, said)
