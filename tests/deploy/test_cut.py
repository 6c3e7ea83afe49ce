"""The record of a slice: its JSON object, and the file that it is written to."""

import json

import pytest

from decig.deploy.cut import Cut
from decig.deploy.cutter import Cutter
from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.source.resolve import resolve
from decig.source.source import Source
from tests.samples import write_dynamic_generator, write_generator


@pytest.fixture
def source(tmp_path) -> Source:
    return resolve(str(write_generator(tmp_path / "m.onnx")))


@pytest.fixture
def cut(source) -> Cut:
    cutter = Cutter(source)
    return cutter.cut(cutter.keep(0.5, 1), verify=True)


def test_json_counts_what_went_and_leaves_out_what_is_not_known(cut):
    found = cut.to_dict()
    assert found["removed"] == {"conv1": 4, "conv2": 4}
    assert found["params"]["after"] < found["params"]["before"]
    assert found["macs"]["after"] < found["macs"]["before"]
    assert 0 <= found["max_abs_diff"] < 1e-4
    assert not {"predicted_latency_ms", "measured_latency_ms", "warnings"} & found.keys()


def test_doubts_of_the_latency_stand_in_the_json(cut):
    from dataclasses import replace

    doubted = replace(cut, predicted_ms=1.23456, warnings=("the table is of another device",))
    found = doubted.to_dict()
    assert found["predicted_latency_ms"] == 1.2346
    assert found["warnings"] == ["the table is of another device"]


def test_a_file_says_which_channels_were_kept_and_of_what(cut, source, tmp_path):
    cut.save(tmp_path / "half.onnx", source)
    written = load_model(tmp_path / "half.onnx").proto
    assert analyse(written).widths == {"conv1": 4, "conv2": 4, "head": 3}
    [plan] = [json.loads(p.value) for p in written.metadata_props if p.key == "decig.plan"]
    kept = {name: [int(index) for index in indices] for name, indices in cut.plan.keep.items()}
    assert plan["keep"] == kept


def test_axes_that_are_dynamic_stay_so(tmp_path):
    source = resolve(
        str(write_dynamic_generator(tmp_path / "m.onnx")), input_shapes={"": [1, 3, 24, 24]}
    )
    cutter = Cutter(source)
    cutter.cut(cutter.keep(0.5, 1), verify=True).save(tmp_path / "half.onnx", source)
    import onnx

    shape = onnx.load(tmp_path / "half.onnx").graph.input[0].type.tensor_type.shape
    assert [axis.dim_param for axis in shape.dim[2:]] != ["", ""]
