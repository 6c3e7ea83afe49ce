import numpy as np
import onnx
import pytest

from decig.device.plan.compute import MacsTarget
from decig.errors import TargetMissedError
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import load_model
from decig.graph.scoring import magnitude_loss
from decig.training.narrowing.cut import Cut, plan_within
from tests.training.tiny import tiny_generator

SCORES = {"c1": np.arange(16.0) + 1, "c2": np.arange(16.0)[::-1] + 1}


@pytest.fixture
def model(tmp_path):
    onnx.save(tiny_generator(size=24, width=16), tmp_path / "model.onnx")
    return load_model(tmp_path / "model.onnx")


def plan(model, share):
    channels = analyse(model.proto)
    target = MacsTarget(model, channels)
    wanted = share * target.as_it_is_ms
    return plan_within(model, channels, SCORES, magnitude_loss(SCORES), target, wanted)


def test_the_channels_with_the_largest_scores_stay(model):
    found = plan(model, 0.5)
    c1, c2 = found.keep["c1"], found.keep["c2"]
    assert c1 == list(range(16 - len(c1), 16)) and c2 == list(range(len(c2)))
    cut = Cut(model, analyse(model.proto), SCORES, {"c1": 3, "c2": None}, found)
    assert count(cut.sliced.proto).macs <= 0.5 * count(model.proto).macs
    assert cut.widths == {"c1": len(c1), "c2": len(c2)}
    record = cut.record()
    assert record["c1"]["hinge"] == 3 and record["c2"]["hinge"] is None
    assert record["c1"]["magnitudes"] == record["c2"]["magnitudes"] == list(range(16, 0, -1))
    assert record["c2"]["channels"] == {"before": 16, "after": len(c2)}


def test_what_is_out_of_reach_is_said(model):
    with pytest.raises(TargetMissedError):
        plan(model, 1e-6)
