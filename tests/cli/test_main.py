"""The group of all commands: its help, and what every command says of wrong usage."""

import json

import pytest

from decig.cli.main import main
from tests.samples import decig, write_generator

ORDER = ["train", "inspect", "profile", "slice", "compress", "export", "check", "report", "doctor"]


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_help_lists_the_commands_in_the_order_of_work(arguments):
    result = decig(*arguments)
    assert result.exit_code == 0
    lines = result.stdout.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")][: len(ORDER)] == ORDER
    assert "130 stopped by Ctrl-C" in " ".join(result.stdout.split())
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("train", "RECIPE, --output-dir"),
        ("inspect", "MODEL"),
        ("profile", "MODEL, -o/--output"),
        ("slice", "MODEL, -o/--output, one of --keep, --plan and --target-latency"),
        ("compress", "MODEL"),
        ("export", "MODEL, -o/--output"),
        ("check", "CANDIDATE, --reference"),
    ],
)
def test_everything_missing_is_named_at_once(command, missing):
    result = decig(command)
    assert result.exit_code == 2
    assert result.stderr == f"decig: error: Missing {missing}. See decig {command} --help\n"


def test_every_option_says_what_it_is_for():
    for name, command in main.commands.items():
        for option in command.params:
            assert option.param_type_name == "argument" or option.help, (name, option.name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keep", 1, "--keep", 0.5), "--keep is given 2 times; it takes one value."),
        (("--keep", 1, "--layout", "nchw", "--layout", "nhwc"), "--layout is given 2 times"),
        (("--keep", 1, "-o", "{out}", "--output", "{out}"), "-o/--output is given 3 times"),
        (("--keep", 1, "--one-hot", 3, "--palette", 3), "--one-hot and --palette exclude each"),
    ],
)
def test_what_takes_one_value_is_not_given_twice(tmp_path, arguments, message):
    model, out = write_generator(tmp_path / "m.onnx"), tmp_path / "x.onnx"
    given = (str(argument).format(out=out) for argument in arguments)
    result = decig("slice", model, "-o", out, *given)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--feed", "image=normal", "image=zeros"),
        ("--input-shape", "image:1,3,24,24", "image:1,3,48,48"),
        ("--input-shape", "1,3,24,24", "1,3,48,48"),
    ],
)
def test_what_may_be_given_often_says_one_thing_of_each_name(tmp_path, option):
    model, out = write_generator(tmp_path / "m.onnx"), tmp_path / "x.onnx"
    flag, *values = option
    given = (part for value in values for part in (flag, value))
    result = decig("slice", model, "-o", out, "--keep", 1, *given)
    assert result.exit_code == 2
    assert "is given 2 times; it takes one value." in result.stderr
    assert not out.exists()


def test_the_options_of_a_provider_are_given_once(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    options = ("--ep-option", "a=1", "--ep-option", "a=2")
    result = decig("profile", model, "-o", tmp_path / "t.json", *options)
    assert result.exit_code == 2
    assert "--ep-option a is given 2 times" in result.stderr


def test_two_efforts_exclude_each_other(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    asked = ("profile", model, "-o", tmp_path / "t.json", "--quick", "--thorough")
    result = decig(*asked)
    assert result.exit_code == 2
    assert "--quick and --thorough exclude each other" in result.stderr


def test_what_may_be_given_often_may(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    feeds = ("--feed", "image=normal", "--json", "--json")
    result = decig("slice", model, "-o", tmp_path / "x.onnx", "--keep", 1, *feeds)
    assert result.exit_code == 0, result.stderr


def test_a_model_that_an_option_has_swallowed_is_found(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    result = decig("slice", "--repair", model, "-o", tmp_path / "x.onnx", "--keep", 1)
    assert result.exit_code == 2
    expected = f"Missing MODEL. (--repair took {model} for its value: put MODEL first.)"
    assert expected in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "none.onnx", "--json"),
        ("slice", "--json"),
        ("slice", "none.onnx", "--json", "--bogus"),
        ("check", "none.onnx", "--reference", "none.onnx", "--json", "--data", "nowhere"),
        ("bogus", "--json"),
    ],
)
def test_errors_are_one_json_object_too(arguments):
    result = decig(*arguments)
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert found["exit_code"] == 2
    *_, line = result.stderr.splitlines()
    assert line == f"decig: error: {found['error']}"
