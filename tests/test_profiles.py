"""The cost tables that ship with the project."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable
from decig.device.plan.planner import plan_widths
from decig.graph.channels import analyse
from decig.graph.scoring import magnitude_loss, magnitude_scores
from decig.source.resolve import resolve

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "profiles").glob("*.json"))


@pytest.fixture(scope="module")
def model():
    return resolve(str(ROOT / "models" / "facades-resunet")).model


def test_the_devices_that_the_readme_names():
    readme = (ROOT / "profiles" / "README.md").read_text()
    assert {path.name for path in FILES} == {"epyc-cpu-1.json", "epyc-openvino-1.json"}
    assert all(path.name in readme for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_table_plans_for_the_embedded_model(model, path):
    table = CostTable.load(path)
    assert not table.doubts
    assert table.device.machine == "epyc"
    assert path.stem.endswith(f"-{table.device.threads}")
    predictor = Predictor(table)
    channels = analyse(model.proto)
    table.require_same_model(model, channels)
    loss = magnitude_loss(magnitude_scores(model.proto, channels))
    target = predictor.baseline_ms / 3
    widths = plan_widths(predictor, loss, target)
    assert 0.85 * target <= predictor.predict_ms(widths) <= target


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_table_agrees_with_its_own_sweep(path):
    """Of half the swept plans, predicted from the other half."""
    table = CostTable.load(path)
    whole, *points = table.sweep
    predictor = Predictor(replace(table, sweep=(whole, *points[::2])))
    errors = [predictor.predict_ms(p.widths) / p.latency_us.median_ms - 1 for p in points[1::2]]
    assert np.median(np.abs(errors)) < 0.08


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_table_names_no_private_place(path):
    text = json.dumps(json.loads(path.read_text()))
    assert "/" not in json.loads(path.read_text())["model"]["path"]
    assert "/home" not in text
    assert "/root" not in text
