"""The shipped JSON Schemas: current, taking what decig writes, refusing what decig refuses."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import onnx
import pytest

from decig import formats
from decig.errors import BadInputError
from decig.graph.plan import Plan
from decig.progress import silent
from decig.repeating import Said
from decig.source.recipe import load_recipe
from decig.source.stamp import read_stamp
from decig.training.compression import pipeline
from decig.training.config import Config
from tests.docs.generate import made
from tests.samples import PIXELS, call
from tests.training.small import small

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(ROOT.glob("models/*/*.toml"))
GOOD_SETTINGS = "[train]\nseed = 3\n[distil]\ncrop = 64\n[decig]\ncondense = 0.3\n"
BAD_SETTINGS = {
    "[distil]: unknown key corp; known: crop": "[distil]\ncorp = 64\n",
    "[decig]: condense: expected `float` <= 1.0, not 3": "[decig]\ncondense = 3\n",
    "[train]: seed: expected `int`, not 'one'": "[train]\nseed = 'one'\n",
}
"""Settings that are refused, by what is said of them."""
BAD_RECIPES = {
    "unknown key pixels.colour; known: input_range": "[model]\nonnx='m.onnx'\n"
    "input_shape=[1,3,8,8]\n[pixels]\ninput_range=[0,1]\noutput_range=[0,1]\ncolour='rgb'\n",
    "pixels.output_range is missing": "[model]\nonnx='m.onnx'\ninput_shape=[1,3,8,8]\n"
    "[pixels]\ninput_range=[0,1]\n",
    "model.input_shape: expected `array` of length >= 4": "[model]\nonnx='m.onnx'\n"
    "input_shape=[3,8,8]\n[pixels]\ninput_range=[0,1]\noutput_range=[0,1]\n",
}
"""Recipes that are refused, by what is said of them."""


def fits(value: object, name: str) -> bool:
    schema = formats.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run, and the file that was exported of it."""
    folder = tmp_path_factory.mktemp("compress")
    asked = small(folder)
    asked.compress()
    return asked.output_dir


@pytest.mark.parametrize("file", sorted(made()), ids=lambda file: file.name)
def test_what_is_made_from_the_code_is_current(file):
    assert file.read_text("utf-8") == made()[file], "run: python -m tests.docs.generate"


def test_there_are_no_other_schemas():
    names = {f"{name}.schema.json" for name in formats.names()}
    assert names == {file.name for file in made() if file.suffix == ".json"}
    with pytest.raises(BadInputError, match="there is no format 'nothing'; known: cost-table, "):
        formats.schema("nothing")


def test_the_schemas_are_shipped():
    assert "formats/*.schema.json" in (ROOT / "setup.cfg").read_text()


@pytest.mark.parametrize("file", sorted(ROOT.glob("profiles/*.json")), ids=lambda file: file.name)
def test_cost_tables_fit(file):
    table = json.loads(file.read_text())
    assert fits(table, "cost-table")
    assert not fits(table | {"schema_version": 2}, "cost-table")
    del table["device"]["cpu"]
    assert not fits(table, "cost-table")


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_recipes_fit(file):
    assert fits(tomllib.loads(file.read_text()), "recipe")
    wrong = tomllib.loads(file.read_text()) | {"train": {"task": "paired", "l3": 1}}
    assert not fits(wrong, "recipe")


@pytest.mark.parametrize(("said", "text"), BAD_RECIPES.items())
def test_recipes_that_decig_refuses_do_not_fit(tmp_path, said, text):
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(BadInputError, match=re.escape(f"{file}: {said}")):
        load_recipe(file)
    assert not fits(tomllib.loads(text), "recipe")


def test_settings_that_decig_takes_fit(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(GOOD_SETTINGS)
    Config.read(file)
    assert fits(tomllib.loads(GOOD_SETTINGS), "settings")


@pytest.mark.parametrize(("said", "text"), BAD_SETTINGS.items())
def test_settings_that_decig_refuses_do_not_fit(tmp_path, said, text):
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(BadInputError, match=re.escape(f"{file}: {said}")):
        Config.read(file)
    assert not fits(tomllib.loads(text), "settings")


def test_the_files_of_a_run_fit(run):
    for file, name in (("run.json", "run"), ("report.json", "report"), ("plan.json", "plan")):
        value = json.loads((run / file).read_text())
        assert fits(value, name), file
        assert not fits(value | {"schema_version": 2}, name), file
    assert Plan.load(run / "plan.json").keep


def test_the_record_to_repeat_a_run_fits(tmp_path):
    asked = small(tmp_path)
    said = Said(command="compress", options={"steps": 4}, unset=["targets"])
    pipeline.compress(
        asked.teacher, asked.folders, asked.goal, asked.config, asked.output_dir, said=said,
        progress=silent,
    )  # fmt: skip
    found = tomllib.loads((asked.output_dir / "run.toml").read_text())
    assert fits(found, "run-toml")
    assert not fits(found | {"train": {"sede": 1}}, "run-toml")
    del found["recorded"]
    assert not fits(found, "run-toml")


@pytest.mark.parametrize("name", ["sessions", "planning", "groups", "nodes", "pictures"])
def test_what_a_run_leaves_for_its_report_fits(run, name):
    assert fits(json.loads((run / f"{name}.json").read_text()), name)
    assert not fits([[]], name)


def test_lines_of_the_curve_fit(run):
    lines = (run / "curve.jsonl").read_text().splitlines()
    assert lines
    assert all(fits(json.loads(line), "curve") for line in lines)


def test_the_stamp_of_an_export_fits(run, tmp_path):
    call("export", run, "-o", tmp_path / "out.onnx")
    stamped = read_stamp(onnx.load(tmp_path / "out.onnx"))
    assert {"version", "pixels", "device", "plan", "figures"} <= stamped.keys()
    assert fits(stamped, "stamp")
    assert not fits(stamped | {"pixels": {"input_range": [0, 1]}}, "stamp")


def test_the_stamp_of_a_slice_fits(run, tmp_path):
    model = run.parent / "model.onnx"
    call("slice", model, "-o", tmp_path / "half.onnx", "--keep", 0.5, *PIXELS)
    assert fits(read_stamp(onnx.load(tmp_path / "half.onnx")), "stamp")
