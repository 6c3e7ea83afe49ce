"""A convolution of an enlarged image and a skip becomes a sum."""

import pytest

from decig.source.resolve import resolve
from tests.graph.rewrite.small import Net, operators, rewritten, unchanged
from tests.graph.rewrite.test_resize_into_transpose import enlarged

RULE = "split_resized_concat"


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("order", ["small first", "small last", "small between"])
def test_any_order(order: str, biased: bool) -> None:
    net = Net(1, 3, 8, 10)
    small = net.node("Conv", "x", net.weights(5, 3, 2, 2), strides=[2, 2])
    skips = ["x", net.node("Relu", "x")]
    place = {"small first": 0, "small between": 1, "small last": 2}[order]
    parts = [*skips[:place], enlarged(net, value=small), *skips[place:]]
    value = net.node("Concat", *parts, axis=1)
    inputs = [net.weights(4, 11, 3, 3), *([net.weights(4)] if biased else [])]
    value = net.node("Conv", value, *inputs, name="conv", pads=[1] * 4)
    after, applied = rewritten(net.finish(value), RULE)
    assert sorted(operators(after))[:6] == ["Add", "Concat", "Conv", "Conv", "Conv", "Relu"]
    assert [entry.node for entry in applied] == ["conv"]
    joined, _ = rewritten(net.finish(value), RULE, "resize_into_transpose")
    assert "Resize" not in operators(joined)


def test_leaves_a_concat_without_an_enlarged_part() -> None:
    net = Net(1, 3, 8, 10)
    value = net.node("Concat", "x", net.node("Relu", "x"), axis=1)
    assert unchanged(net.finish(net.node("Conv", value, net.weights(4, 6, 3, 3))), RULE)


def test_leaves_a_concat_that_others_read() -> None:
    net = Net(1, 3, 8, 10)
    small = net.node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    value = net.node("Concat", "x", enlarged(net, value=small), axis=1)
    conv = net.node("Conv", value, net.weights(4, 6, 3, 3))
    assert unchanged(net.finish(conv, net.node("Relu", value)), RULE)


def test_the_model_that_ships() -> None:
    proto = resolve("models/facades-resunet").model.proto
    rules = (RULE, "resize_into_transpose", "phase_transpose")
    after, applied = rewritten(proto, *rules)
    assert "Resize" not in operators(after)
    assert [entry.rule for entry in applied].count(RULE) == 4
