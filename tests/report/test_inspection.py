import pytest
from samples import write_generator

from decig.errors import BadInputError
from decig.graph.model import load_model
from decig.graph.plan import Plan
from decig.report.inspection import REST, inspect_model


@pytest.fixture
def model(tmp_path):
    return load_model(write_generator(tmp_path / "m.onnx"))


def test_each_node_is_charged_to_the_channels_it_makes(model):
    found = inspect_model(model)
    size = 24 * 24
    assert found.group_macs["conv1"] == size * 9 * 3 * 8
    assert found.group_macs["conv2"] == size * 9 * 8 * 8
    assert found.group_macs["head"] == size * 9 * 8 * 3
    assert found.group_macs.get(REST, 0) == 0
    assert sum(found.group_params.values()) == found.params
    assert "latency_share" not in found.to_dict()["groups"][0]


def test_a_plan_of_another_model_is_refused(model):
    with pytest.raises(BadInputError, match="another model"):
        inspect_model(model, plan=Plan("0", {}))
