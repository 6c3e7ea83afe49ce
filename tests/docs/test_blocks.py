"""Every code block of README and docs: of a kind that some test looks at, and true.

Shell blocks of the tutorials are walked in test_walks.py. Here all shell blocks of all pages are
read: programs, options, extras, targets of make and files of the repository must be there.
"""

import configparser
import json
import os
import re
import subprocess
import sys
import tomllib

import click
import jsonschema
import pytest

import decig
from decig import formats
from decig.cli.main import main
from tests.docs.blocks import PAGES, ROOT, TUTORIALS, blocks, commands, typed
from tests.docs.walks import furnish_for_python

KINDS = {"sh", "console", "python", "json", "toml", "text"}
EVERY = [(page, block) for page in PAGES for block in blocks(page)]
NAMED = [f"{page.relative_to(ROOT)}:{block.line}" for page, block in EVERY]


def quotes(block):
    """Whether it is part of a file of the repository, with which test_extending.py compares it."""
    return any(note.startswith("file=") for note in block.notes)


def of(language, *, tutorials=True):
    """Blocks of a language, as parameters of a test."""
    return [
        pytest.param(block, id=name, marks=[pytest.mark.slow] * ("slow" in block.notes))
        for (page, block), name in zip(EVERY, NAMED, strict=True)
        if block.language == language and (tutorials or page not in TUTORIALS)
        if language != "python" or not quotes(block)
    ]


@pytest.mark.parametrize(("page", "block"), EVERY, ids=NAMED)
def test_a_block_is_of_a_known_kind(page, block):
    assert block.language in KINDS, block.text
    if block.language == "toml" or (block.language == "json" and page not in TUTORIALS):
        assert block.notes, "name its schema behind the language"


@pytest.mark.parametrize("block", of("sh") + of("console"))
def test_commands_and_options_exist(block):
    text = typed(block.text) if block.language == "console" else block.text
    called = commands(text, "decig")
    for arguments in called:
        if arguments[:1] in ([], ["--help"]):
            continue
        command = main.commands[arguments[0]]
        # Reads names of options and how many values follow them; files need not be there.
        _, rest, _ = command.make_parser(click.Context(command)).parse_args(arguments[1:])
        assert rest == [], f"not taken by decig {arguments[0]}: {rest}"


@pytest.mark.parametrize("block", of("sh"))
def test_what_else_is_called_exists(block):
    makefile = (ROOT / "Makefile").read_text()
    for target in (word for call in commands(block.text, "make") for word in call[:1]):
        assert re.search(rf"(?m)^{target}:", makefile), target
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    extras = re.findall(r"'\.\[([\w,]+)\]'", block.text)
    for extra in (name for group in extras for name in group.split(",")):
        assert extra in config["options.extras_require"], extra
    for call in commands(block.text, "python"):
        if call and call[0].endswith(".py"):
            assert (ROOT / call[0]).is_file(), call[0]
    for folder in re.findall(r"(?<![\w./])((?:models|profiles|benchmarks)/[\w.-]+)", block.text):
        assert (ROOT / folder).exists(), folder


@pytest.mark.parametrize("block", of("toml"))
def test_toml_fits_its_schema(block):
    kind = block.notes[0]
    name = "recipe" if kind.startswith("file=") else kind
    jsonschema.validate(tomllib.loads(block.text), formats.schema(name))


@pytest.mark.parametrize("block", of("json", tutorials=False))
def test_json_fits_its_schema(block):
    jsonschema.validate(json.loads(block.text), formats.schema(block.notes[0]))


@pytest.mark.parametrize("block", of("python", tutorials=False))
def test_python_runs(block, tmp_path):
    furnish_for_python(tmp_path)
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "toolchain")}
    program = [sys.executable, "-c", block.text]
    ran = subprocess.run(program, cwd=tmp_path, env=surroundings, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_every_public_name_of_the_package_is_described():
    text = (ROOT / "docs/api.md").read_text("utf-8")
    assert [name for name in decig.__all__ if f"`decig.{name}" not in text] == []


def test_options_that_are_not_there_are_found():
    assert commands("a | decig slice m.onnx \\\n  --nosuch 3 > x", "decig") == [
        ["slice", "m.onnx", "--nosuch", "3"]
    ]
    command = main.commands["slice"]
    with pytest.raises(click.NoSuchOption):
        command.make_parser(click.Context(command)).parse_args(["m.onnx", "--nosuch", "3"])
