from dataclasses import replace

import onnx
import pytest

from decig.device.cost.profile import Effort, profile_model
from decig.device.measure.limits import Limits
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.graph.model import load_model
from decig.graph.plan import Plan
from decig.report.inspection import REST, inspect_model
from tests.graph.tiny import parse
from tests.samples import write_generator


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


def test_groups_share_the_nodes_of_the_roofline(model):
    table = profile_model(model, Device.of(), effort=Effort(2, 0, 0.0, 2, 0.0))
    table = replace(table, limits=Limits(100.0, 20.0))
    found = inspect_model(model, table)
    whole, groups = found.roofline.whole, found.group_parts
    assert sum(part.latency_us for part in groups.values()) == pytest.approx(whole.latency_us)
    assert sum(part.least_us for part in groups.values()) == pytest.approx(whole.least_us)
    assert groups["conv2"].work.macs == found.group_macs["conv2"]
    assert found.to_dict()["roofline"]["limits"] == {"gflops": 100.0, "gbytes_per_s": 20.0}
    older = inspect_model(model, replace(table, limits=None))
    assert older.roofline is None
    assert older.group_parts == {}


def test_a_plan_of_another_model_is_refused(model):
    with pytest.raises(BadInputError, match="another model"):
        inspect_model(model, plan=Plan("0", {}))


def test_weights_in_the_making_are_charged_to_what_they_make(tmp_path):
    body = """
        [g] t = Gemm(s, ws)
        u = Reshape(t, row)
        m = Mul(w2, u)
        [c1] a = Conv(x, w1)
        n = Conv(a, m)
        [c3] y = Conv(n, w3)
    """
    proto = parse(
        body,
        inputs="float[1,3,8,8] x, float[1,5] s",
        row=[1, 6, 1, 1],
        w1=(6, 3, 1, 1),
        ws=(5, 6),
        w2=(4, 6, 3, 3),
        w3=(3, 4, 1, 1),
    )
    onnx.save(proto, tmp_path / "m.onnx")
    found = inspect_model(load_model(tmp_path / "m.onnx"))
    assert found.group_params.get(REST, 0) == 0
    made = next(group.name for group in found.groups if group.channels == 4)
    assert found.group_params[made] == 4 * 6 * 9
    assert sum(found.group_params.values()) == found.params
