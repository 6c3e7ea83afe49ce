"""Graphs for the tests of operators that move data: one of them between two convolutions."""

import onnx

from decig.graph.channels import ChannelMap
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from tests.graph.tiny import keep, worst_difference

WEIGHTS = {"w1": (6, 3, 1, 1), "w2": (3, 6, 1, 1)}


def between(middle: str) -> str:
    """Something between two convolutions: it takes `a` and gives `b`."""
    return f"[c1] a = Conv(x, w1)\n {middle}\n [c2] y = Conv(b, w2)"


def sliced_constant(
    proto: onnx.ModelProto, channels: ChannelMap, name: str, **kept: list[int]
) -> list[int]:
    plan = keep(channels, **kept)
    assert worst_difference(proto, channels, plan) < 1e-5
    return [int(v) for v in initializers(slice_graph(proto, channels, plan))[name]]
