"""What rules read and change of a graph."""

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from decig.graph.rewrite.editor import Editor, attribute, set_attributes
from tests.graph.tiny import tiny

CHAIN = """
    [a] a = Relu(x)
    [b] b = Tanh(a)
    [c] c = Mul(b, k)
    [d] y = Add(c, a)
"""


def edited(body: str = CHAIN, **more: object) -> Editor:
    return Editor(tiny(body, **({"k": np.float32([2])} | more)))


def node(graph: Editor, name: str) -> NodeProto:
    return next(each for each in graph.nodes if each.name == name)


def names(graph: Editor) -> list[str]:
    return [each.name for each in graph.nodes]


def test_who_makes_and_reads_a_value() -> None:
    graph = edited()
    assert graph.maker("x") is None and graph.maker("k") is None
    assert graph.producer("b", "Tanh") is node(graph, "b")
    assert graph.producer("b", "Relu") is None
    assert graph.sole_reader("b") is node(graph, "c")
    assert graph.sole_reader("a") is None  # two read it
    assert graph.sole_reader("y") is None  # the graph returns it
    assert edited("a = Relu(x)\n y = Mul(a, a)").sole_reader("a") is None  # one, but twice


def test_shapes_types_and_constants() -> None:
    graph = edited()
    assert graph.shape("b") == (1, 3, 8, 8) and graph.shape("k") == (1,)
    assert graph.shape("nothing") is None
    assert graph.constant("k") == 2
    assert graph.constant("b") is None and graph.constant("") is None
    assert graph.is_float("x") and graph.is_float("b")
    whole = edited("i = Cast<to=7>(x)\n h = Cast<to=10>(i)\n y = Cast<to=11>(h)",
                   outputs="double[N,C,H,W] y")  # fmt: skip
    assert [whole.is_float(value) for value in ("i", "h", "y")] == [False, True, False]


def test_a_constant_of_one_reader_keeps_its_name() -> None:
    graph = edited()
    graph.set_constant(node(graph, "c"), 1, np.float32([3]), "w")
    assert node(graph, "c").input[1] == "k" and graph.constant("k") == 3
    assert [t.name for t in graph.finish().graph.initializer] == ["k"]


def test_a_constant_that_others_read_is_left_to_them() -> None:
    proto = tiny(CHAIN, k=np.float32([2]))
    node_a = next(each for each in proto.graph.node if each.name == "d")
    node_a.input[1] = "k"
    graph = Editor(proto)
    graph.set_constant(node(graph, "c"), 1, np.float32([3]), "w")
    assert node(graph, "c").input[1] == "c/w" and graph.constant("k") == 2
    assert {t.name for t in graph.finish().graph.initializer} == {"k", "c/w"}


def test_a_constant_may_go_where_nothing_was() -> None:
    graph = edited("[e] y = Clip(x)")
    graph.set_constant(node(graph, "e"), 2, np.float32(1), "most")
    assert list(node(graph, "e").input) == ["x", "", "e/most"]


def test_names_that_are_taken_are_not_given_again() -> None:
    graph = edited("[other] made = Relu(x)\n [e] y = Mul(made, k)")
    assert graph.free("fresh") == "fresh"
    for taken in ("x", "made", "k", "e", "other"):  # values, constants, nodes
        assert graph.free(taken) == f"{taken}_"
    first = graph.add_constant(node(graph, "e"), "w", np.float32([1]))
    second = graph.add_constant(node(graph, "e"), "w", np.float32([2]))
    assert [first, second] == ["e/w", "e/w_"]
    assert graph.constant(first) == 1 and graph.constant(second) == 2


def test_nodes_go_before_behind_and_away() -> None:
    graph = edited()
    made = [helper.make_node("Abs", ["b"], [name], name=name) for name in ("p", "q")]
    graph.insert_before(node(graph, "c"), made[:1])
    graph.insert_after(node(graph, "c"), made[1:])
    assert names(graph) == ["a", "b", "p", "c", "q", "d"]
    assert graph.maker("p") is made[0]
    assert graph.sole_reader("b") is None
    graph.remove(made[0])
    assert not graph.has(made[0]) and graph.has(made[1])
    graph.drop_dead()
    assert names(graph) == ["a", "b", "c", "d"]


def test_a_node_is_bypassed() -> None:
    graph = edited()
    assert graph.bypass(node(graph, "b"), "a")
    assert names(graph) == ["a", "c", "d"]
    assert list(node(graph, "c").input) == ["a", "k"]


def test_the_name_of_an_output_stays_when_its_node_is_bypassed() -> None:
    outputs = "float[N,C,H,W] b, float[N,C,H,W] y"
    graph = edited("[a] a = Relu(x)\n [b] b = Tanh(a)\n [c] y = Identity(a)", outputs=outputs)
    assert graph.bypass(node(graph, "c"), "a")
    assert list(node(graph, "a").output) == ["y"] and list(node(graph, "b").input) == ["y"]
    onnx.checker.check_model(graph.finish())


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("[c] y = Identity(x)", "float[N,C,H,W] y"),
        ("[a] z = Relu(x)\n [c] y = Identity(z)", "float[N,C,H,W] z, float[N,C,H,W] y"),
    ],
)
def test_two_names_that_must_stay_are_not_made_one(body: str, outputs: str) -> None:
    graph = edited(body, outputs=outputs)
    before = names(graph)
    bypassed = node(graph, "c")
    assert not graph.bypass(bypassed, bypassed.input[0])
    assert names(graph) == before


def branch(name: str) -> onnx.GraphProto:
    made = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8])
    return helper.make_graph([helper.make_node("Mul", ["a", "k"], [name])], name, [], [made])


def test_what_subgraphs_read_stays() -> None:
    proto = tiny(CHAIN, k=np.float32([2]))
    given = helper.make_tensor_value_info("given", TensorProto.BOOL, [])
    proto.graph.input.append(given)
    proto.graph.node[3].op_type = "If"
    del proto.graph.node[3].input[:]
    proto.graph.node[3].input.append("given")
    proto.graph.node[3].attribute.extend(
        helper.make_attribute(key, branch(f"{key}_out")) for key in ("then_branch", "else_branch")
    )
    graph = Editor(proto)
    assert graph.sole_reader("a") is None
    graph.drop_dead()
    assert names(graph) == ["a", "d"]
    assert [t.name for t in graph.finish().graph.initializer] == ["k"]


def test_the_source_graph_is_not_changed_and_shapes_are_inferred_anew() -> None:
    proto = tiny("[a] a = Conv(x, w)\n [b] y = Relu(a)", w=(5, 3, 3, 3))
    before = proto.SerializeToString()
    graph = Editor(proto)
    graph.set_constant(node(graph, "a"), 1, np.ones((4, 3, 1, 1), np.float32), "w")
    after = graph.finish()
    assert proto.SerializeToString() == before
    assert Editor(after).shape("a") == (1, 4, 8, 8)


def test_attributes_are_read_set_and_taken_away() -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4, auto_pad="NOTSET")
    assert attribute(conv, "pads", None) == [1] * 4
    assert attribute(conv, "group", 1) == 1
    set_attributes(conv, pads=[2] * 4, auto_pad=None, group=3)
    assert {entry.name for entry in conv.attribute} == {"pads", "group"}
    assert attribute(conv, "pads", None) == [2] * 4 and attribute(conv, "group", 1) == 3
