import logging

import onnx
import pytest
from torch import nn

from decig.device.plan.compute import MacsTarget
from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.training.loop.schedule import constant
from decig.training.narrowing.fresh import Fresh
from decig.training.narrowing.steering import UNASKED
from tests.training.narrowing.test_steering import Thinning
from tests.training.tiny import tiny_generator


@pytest.fixture
def fresh(tmp_path):
    onnx.save(tiny_generator(size=24), tmp_path / "model.onnx")
    model = load_model(tmp_path / "model.onnx")
    channels, net = analyse(model.proto), nn.Identity()
    target = MacsTarget(model, channels)

    def make(target_ms=None):
        return Fresh("generator", net, net, model, channels, target, target_ms, constant, seed=0)

    return make


def test_a_net_of_which_no_group_can_go_is_refused_and_what_cannot_is_named(fresh, caplog):
    caplog.set_level(logging.WARNING, "decig")
    with pytest.raises(BadInputError, match=r"model\.onnx: no group of its channels is read by"):
        fresh().require_some([])
    fresh().require_some(["c2"])
    (line,) = caplog.messages
    assert line.endswith("not condensed in training, but cut: c1")
    fresh().require_some(["c1", "c2"])
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("share", [0.5, None, 2.0])
def test_it_is_steered_from_the_whole_net_to_what_is_asked_for(fresh, share):
    whole = fresh().target.as_it_is_ms
    narrowing = Thinning()
    part = fresh(share and share * whole).steered(narrowing, constant)
    part.after_update(9, 1.0)  # the tenth step is looked at
    ((_, wanted),) = narrowing.asked
    assert wanted == pytest.approx({0.5: whole / 2, None: whole / UNASKED, 2.0: whole}[share])
