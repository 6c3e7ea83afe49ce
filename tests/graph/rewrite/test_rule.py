"""What a rule is, and what its helpers refuse."""

import numpy as np
import pytest
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.rule import (
    NoMatch,
    bias_of,
    reader_of,
    require_sole_reader,
    rule,
    shape_of,
    weights_of,
)
from tests.graph.rewrite.small import Net

C = 3


@rule("Conv", "Gemm", canonical=True)
def some_rule(graph: Editor, node: NodeProto) -> None:
    raise NoMatch("it never does")


def layers(net: Net, *values: str) -> tuple[Editor, list[NodeProto]]:
    graph = Editor(net.finish(*values))
    return graph, [node for node in graph.nodes if node.op_type == "Conv"]


def test_a_rule_has_the_name_of_its_function_and_the_properties_it_states():
    assert (some_rule.name, some_rule.candidates) == ("some_rule", {"Conv", "Gemm"})
    assert (some_rule.canonical, some_rule.one_size, some_rule.needs_float32) == (
        True,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("op_type", "domain", "looks"),
    [("Conv", "", True), ("Gemm", "ai.onnx", True), ("Relu", "", False), ("Conv", "own", False)],
)
def test_a_rule_looks_at_its_candidates(op_type: str, domain: str, looks: bool):
    node = helper.make_node(op_type, ["x"], ["y"], domain=domain)
    assert some_rule.looks_at(node) == looks


def test_the_bias_of_layers():
    net = Net(1, C, 5, 4)
    weight = [net.weights(4, C, 1, 1) for _ in range(3)]
    bias = net.constant([1, 2, 3, 4])
    values = [
        net.node("Conv", "x", weight[0]),
        net.node("Conv", "x", weight[1], ""),
        net.node("Conv", "x", weight[2], bias),
    ]
    graph, found = layers(net, *values)
    assert [bias_of(graph, layer).tolist() for layer in found] == [[0], [0], [1, 2, 3, 4]]


def test_a_bias_and_weights_that_are_computed():
    net = Net(1, C, 5, 4)
    made = net.node("ReduceSum", "x", net.constant([0, 2, 3], np.int64), keepdims=0)
    kernel = net.node("Reshape", net.node("Mul", made, made), net.constant([1, C, 1, 1], np.int64))
    bias = net.node("Conv", "x", net.weights(C, C, 1, 1), made)
    graph, (first, second) = layers(net, bias, net.node("Conv", "x", kernel))
    with pytest.raises(NoMatch, match="its bias is computed"):
        bias_of(graph, first)
    assert weights_of(graph, first).shape == (C, C, 1, 1)
    with pytest.raises(NoMatch, match="its weights are computed"):
        weights_of(graph, second)


def test_a_value_that_is_read_twice_has_no_reader():
    net = Net(1, C, 5, 4)
    once = net.node("Conv", "x", net.weights(C, C, 1, 1))
    twice = net.node("Conv", net.node("Relu", once), net.weights(C, C, 1, 1))
    graph, (first, second) = layers(net, net.node("Add", twice, net.node("Relu", twice)))
    assert reader_of(graph, first).op_type == "Relu"
    require_sole_reader(graph, first)
    with pytest.raises(NoMatch, match="is read more than once"):
        reader_of(graph, second)
    with pytest.raises(NoMatch, match="what the Conv in front gives is read elsewhere too"):
        require_sole_reader(graph, second)


def test_an_output_of_the_graph_has_no_reader_either():
    net = Net(1, C, 5, 4)
    value = net.node("Conv", "x", net.weights(C, C, 1, 1))
    graph, (layer,) = layers(net, value, net.node("Relu", value))
    with pytest.raises(NoMatch, match="or is an output of the graph"):
        reader_of(graph, layer)


def test_a_shape_that_is_not_known():
    net = Net(1, C, 5, 4)
    graph = Editor(net.finish(net.node("Relu", "x")))
    assert shape_of(graph, "x") == (1, C, 5, 4)
    with pytest.raises(NoMatch, match="the shape of y is not known"):
        shape_of(graph, "y")
