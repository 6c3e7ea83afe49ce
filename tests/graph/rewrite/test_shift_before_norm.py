"""What a normalisation takes away need not be added."""

import numpy as np

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "shift_before_norm"


def norm(net: Net, value: str) -> str:
    return net.node("InstanceNormalization", value, net.weights(4), net.weights(4))


def test_sums() -> None:
    net = Net(1, 4, 7, 6)
    value = net.node("Conv", "x", net.weights(4, 4, 1, 1), net.weights(4))
    for op_type in ("Add", "Sub"):
        value = net.node(op_type, value, net.constant(net.random.normal(size=(4, 1, 1))))
    value = net.node("Add", net.constant(3.0), value)
    after, _ = rewritten(net.finish(norm(net, value)), RULE)
    assert operators(after) == ["Conv", "InstanceNormalization"]
    assert len(after.graph.node[0].input) == 3


def test_leaves_a_sum_that_others_see() -> None:
    net = Net(1, 4, 7, 6)
    value = net.node("Add", "x", net.constant(2.0))
    assert unchanged(net.finish(norm(net, value), net.node("Relu", value)), RULE)


def test_leaves_numbers_of_single_pixels() -> None:
    net = Net(1, 4, 7, 6)
    value = net.node("Add", "x", net.constant(np.ones((7, 6))))
    assert unchanged(net.finish(norm(net, value)), RULE)
