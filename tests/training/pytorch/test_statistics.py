import copy
import logging

import numpy as np
import pytest
import torch
from torch import nn

from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.graph.model import load_model
from decig.source.recipe import Code
from decig.training.pytorch.exporter import export_onnx
from decig.training.pytorch.statistics import choose_statistics

ASKED = Code("net.py:Net", batch_statistics=True)
SAID_NOTHING = Code("net.py:Net")


def _net() -> nn.Sequential:
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3)
    )
    for norm in (net[1], net[4]):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return net.eval()


def test_pictures_are_normalised_as_in_training_mode(tmp_path):
    net = _net()
    x = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        wanted, saved = copy.deepcopy(net).train()(x), net(x)
    choose_statistics(net, ASKED, "net", trained=True)
    with torch.no_grad():
        assert torch.equal(net(x), wanted)
    assert (wanted - saved).abs().max() > 0.1
    export_onnx(net, {"input": [1, 3, 9, 8]}, tmp_path / "net.onnx")
    proto = load_model(tmp_path / "net.onnx").proto
    assert [n.op_type for n in proto.graph.node].count("InstanceNormalization") == 2
    found = Device.of().open(proto).run(None, {"input": x.numpy()})[0]
    assert np.abs(found - wanted.numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("source", "trained", "told"),
    [
        (SAID_NOTHING, True, True),
        (SAID_NOTHING, False, False),
        (Code("net.py:Net", batch_statistics=False), True, False),
        (ASKED, True, False),
    ],
)
def test_the_choice_is_named_where_nobody_made_it(caplog, source, trained, told):
    caplog.set_level(logging.INFO, "decig")
    choose_statistics(_net(), source, "net", trained=trained)
    assert ("its 2 batch norms use the statistics saved" in caplog.text) == told
    assert ("--batch-statistics" in caplog.text) == told


def test_a_net_without_batch_norms(caplog):
    caplog.set_level(logging.INFO, "decig")
    choose_statistics(nn.InstanceNorm2d(3), SAID_NOTHING, "net", trained=True)
    assert not caplog.text
    with pytest.raises(BadInputError, match="net: has no batch norms"):
        choose_statistics(nn.InstanceNorm2d(3), ASKED, "net", trained=True)
