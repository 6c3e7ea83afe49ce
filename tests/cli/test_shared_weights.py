"""A block that is run again and again: its weights are one, from the first command to the last."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from decig.graph.model import initializers, load_model
from tests.graph.shared_nets import recursive
from tests.samples import call, decig, write_photos

PARAMS = 8 * 3 * 9 + 8 * 8 * 9 + 3 * 8 * 9

WIDE = ("--input-range", "0,1", "--output-range", "-60000,60000", "--channel-order", "rgb")
"""Pixel format of nets with random weights, whose pictures have large values."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(recursive(4, size=24), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def weights(path: Path) -> list[tuple[int, ...]]:
    """Shapes of the weights that a file holds."""
    proto = onnx.load(path)
    return sorted(array.shape for array in initializers(proto).values() if array.ndim == 4)


def test_figures_count_it_once(model):
    found = call("inspect", model)
    assert found["params"] == PARAMS
    assert sum(group["params"] for group in found["groups"]) == PARAMS
    assert [group["channels"] for group in found["groups"] if group["prunable"]] == [8]


@pytest.mark.parametrize("repaired", [False, True])
def test_slice_and_export_keep_it_shared(model, tmp_path, repaired):
    half, out = tmp_path / "half.onnx", tmp_path / "out.onnx"
    photos = write_photos(tmp_path / "photos")
    more = ("--repair", photos, *WIDE) if repaired else ()
    found = call("slice", model, "--keep", 0.5, "--verify", "-o", half, *more)
    assert found["params"] == {"before": PARAMS, "after": 4 * 3 * 9 + 4 * 4 * 9 + 3 * 4 * 9}
    assert found["max_abs_diff"] < 1e-4
    assert weights(half) == [(3, 4, 3, 3), (4, 3, 3, 3), (4, 4, 3, 3)]
    assert half.stat().st_size < model.stat().st_size
    call("export", half, "-o", out)
    kept = initializers(onnx.load(out)).values()
    varied = [
        a.tobytes()
        for a in kept
        if a.ndim == 4 and len(np.unique(a.reshape(len(a), -1), axis=0)) == len(a)
    ]
    assert len(varied) == len(set(varied)) >= 3


@pytest.mark.train
def test_a_run_trains_it_as_one(model, tmp_path):
    table, folder = tmp_path / "t.json", tmp_path / "run"
    photos = write_photos(tmp_path / "photos", 4)
    assert decig("profile", model, "-o", table, "--quick").exit_code == 0
    given = ("--profile", table, "--data", photos, "--output-dir", folder, "--steps", 6)
    (tmp_path / "any.toml").write_text("[decig]\ncondense = 0.5\n")  # nothing is timed
    found = call("compress", model, *given, "--config", tmp_path / "any.toml", *WIDE)
    assert found["steps"] == 3
    student = load_model(folder / "student.onnx").proto
    assert len(weights(folder / "student.onnx")) == 3
    assert sorted(initializers(student)) == ["w", "wi", "wo"]
