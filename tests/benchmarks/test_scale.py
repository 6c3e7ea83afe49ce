"""The pieces of the scale benchmark, small."""

import onnx
import torch
from scale import Level, chain, growth, steps

from decig.graph.channels import analyse
from decig.graph.model import normalise
from decig.graph.plan import Plan
from tests.graph.tiny import worst_difference


def test_a_chain_has_the_nodes_and_channels_asked_for():
    proto = normalise(chain(42, 8))
    assert len(proto.graph.node) == 42
    channels = analyse(proto)
    assert {group.channels for group in channels.prunable} == {8}
    plan = Plan("", {group.name: [1, 5] for group in channels.prunable})
    assert worst_difference(proto, channels, plan) < 1e-4


def test_growth_is_one_line_a_chain(tmp_path):
    lines = growth(tmp_path, [(10, 8), (18, 8)])
    assert [line.split("|")[1:3] for line in lines] == [[" 10 ", " 8 "], [" 18 ", " 8 "]]
    onnx.save(chain(10, 8), tmp_path / "m.onnx")
    assert steps(tmp_path / "m.onnx").keys() == {"load", "analyse", "slice"}


def test_levels_of_the_u_net_fit_together():
    net = Level(3, 4, Level(4, 8, Level(8, 8, None, first=False), first=False), first=True)
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 3, 16, 16)
