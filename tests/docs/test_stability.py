"""What docs/stability.md promises is so: keys of --json, exit codes, formats with a version."""

import re

import pytest

from decig import formats
from decig.cli.endings import EXIT_CODES
from tests.docs.blocks import ROOT
from tests.docs.report_keys import Report
from tests.samples import PIXELS, call, decig, write_generator, write_photos

TEXT = (ROOT / "docs/stability.md").read_text("utf-8")
KEYS = {
    command: set(re.findall(r"`(\w+)`", cells))
    for command, cells in re.findall(r"(?m)^\| `(\w+)` \| (.*) \|$", TEXT)
}
"""Promised keys by command, those inside other objects included."""


@pytest.fixture
def model(tmp_path):
    return write_generator(tmp_path / "m.onnx")


def keys_in(value):
    """All keys of an object and of those in it."""
    if isinstance(value, list):
        return set().union(*map(keys_in, value))
    if not isinstance(value, dict):
        return set()
    return value.keys() | set().union(*map(keys_in, value.values()))


def test_the_table_is_read():
    assert KEYS.keys() == {"inspect", "slice", "compress", "check"}


def test_keys_of_inspect(model):
    assert KEYS["inspect"] <= keys_in(call("inspect", model))


def test_keys_of_slice(model, tmp_path):
    found = call("slice", model, "-o", tmp_path / "half.onnx", "--keep", 0.5, "--verify")
    assert KEYS["slice"] - {"predicted_latency_ms"} <= keys_in(found)  # that one needs a table


def test_keys_of_check(model, tmp_path):
    photos = write_photos(tmp_path / "photos")
    found = call("check", model, "--reference", model, "--data", photos, *PIXELS)
    assert KEYS["check"] <= keys_in(found)


def test_keys_of_compress_are_those_of_the_schema():
    assert KEYS["compress"] <= set(Report.__struct_fields__)


def test_keys_of_a_failure(tmp_path):
    result = decig("inspect", tmp_path / "none.onnx", "--json")
    assert result.exit_code == 2
    assert '"error"' in result.stdout
    assert '"exit_code": 2' in result.stdout


def test_exit_codes_are_those_of_the_program():
    promised = re.findall(r"\b(\d+)\s", TEXT[TEXT.index("**Exit codes**") :].split("\n- ")[0])
    assert promised == re.findall(r"\b(\d+)\s", EXIT_CODES)


def test_formats_with_a_version_are_those_that_are_named():
    versioned = {name for name in formats.names() if "schema_version" in str(formats.schema(name))}
    assert versioned - {"stamp"} == {"cost-table", "plan", "run", "report"}
