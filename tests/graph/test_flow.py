"""The state of the pass: facts of the graph, notes of the rules, cuts."""

import numpy as np
import pytest

from decig.graph.flow import Cut, Flow, attributes, on_axis, pad_rank
from decig.graph.ids import FIXED
from tests.graph.tiny import tiny

POINTWISE = "[c] y = Conv(x, w)"


def flow_of_pointwise() -> Flow:
    return Flow(tiny(POINTWISE, w=(2, 3, 1, 1)))


def test_facts_of_the_graph():
    flow = flow_of_pointwise()
    assert flow.opset == 17
    assert flow.shape("y") == (1, 2, 8, 8)
    assert flow.is_constant("w")
    assert not flow.is_constant("x")
    assert flow.constant("x") is None
    assert flow.of("x") is None


def test_a_value_of_unknown_shape_is_a_key_error():
    with pytest.raises(KeyError):
        flow_of_pointwise().shape("nowhere")


def test_integers_come_from_an_attribute_or_a_constant():
    node = "y = Slice(x, starts, ends)"
    later = Flow(tiny(node, starts=[0], ends=[1], opset=10))
    assert later.integers(later.proto.graph.node[0], "starts", 1) == [0]
    older = Flow(tiny("y = Slice<starts=[0], ends=[1]>(x)", opset=9))
    assert older.integers(older.proto.graph.node[0], "ends", 2) == [1]
    assert older.integers(older.proto.graph.node[0], "axes", 3) is None


def test_of_or_fixed_has_the_rank_of_the_value():
    assert flow_of_pointwise().of_or_fixed("x").tolist() == [[[[FIXED]]]]


def test_along_ties_the_other_axes():
    flow = flow_of_pointwise()
    ids = flow.space.fresh(4).reshape(1, 2, 2, 1)
    assert list(flow.along(ids, 1, 2, "")) == [1, 3]
    assert list(flow.space.classes()) == [0, 1, 1, 2, 2]


def test_along_broadcasts_a_fixed_value():
    flow = flow_of_pointwise()
    assert list(flow.along(np.full((1, 1, 1, 1), FIXED), 1, 3, "")) == [FIXED] * 3


def test_bind_takes_initializers_and_skips_absent_inputs():
    flow = flow_of_pointwise()
    node = flow.proto.graph.node[0]
    ids = flow.space.fresh(2)
    flow.bind(node, 1, "write", on_axis(ids, 0, 4))
    flow.bind(node, 2, "shift", ids)
    (binding,) = flow.bindings
    assert (binding.initializer, binding.node, binding.role) == ("w", "c", "write")


def test_bind_freezes_for_computed_weights():
    flow = flow_of_pointwise()
    ids = flow.space.fresh(2)
    flow.bind(flow.proto.graph.node[0], 0, "write", ids)
    assert not flow.bindings
    assert flow.space.frozen(flow.space.classes())[1] == "Conv c has computed weights"


def test_forget_drops_what_came_after():
    flow = flow_of_pointwise()
    flow.part(flow.space.fresh(1))
    before = flow.findings()
    flow.part(flow.space.fresh(1))
    flow.on_cut(lambda cut: None)
    flow.forget(before)
    assert (len(flow.parts), len(flow.menders)) == (1, 0)


def test_block_freezes_inputs_and_fixes_outputs():
    flow = flow_of_pointwise()
    flow.ids["x"] = on_axis(flow.space.fresh(3), 1, 4)
    (out,) = flow.block(flow.proto.graph.node[0], "why")
    assert out.tolist() == [[[[FIXED]]]]
    assert set(flow.space.frozen(flow.space.classes()).values()) == {"graph input", "why"}


def test_cut_tells_what_is_kept():
    removed = np.array([False, True, False, True])  # of FIXED and three channels
    cut = Cut(tiny(POINTWISE, w=(2, 3, 1, 1)), removed)
    ids = on_axis(np.array([1, 2, 3]), 1, 4)
    assert list(cut.kept(ids, 1)) == [False, True, False]
    assert cut.shape(ids, (1, 3, 8, 8)) == [1, 1, 8, 8]


def test_cut_sets_constants_and_attributes():
    proto = tiny("y = Conv<group=1>(x, w)", w=(2, 3, 1, 1))
    cut = Cut(proto, np.zeros(1, bool))
    cut.set_constant("w", np.zeros((1, 3, 1, 1), np.float32))
    cut.set_attribute(proto.graph.node[0].name, "group", 3)
    assert cut.constant("w").shape == (1, 3, 1, 1)
    assert attributes(proto.graph.node[0]) == {"group": 3}
    assert cut.attribute(proto.graph.node[0].name, "group") == 3


def test_on_axis_and_pad_rank():
    assert on_axis(np.arange(3), 1, 4).shape == (1, 3, 1, 1)
    assert on_axis(np.arange(3), -1, 2).shape == (1, 3)
    assert pad_rank(np.ones((3, 1)), 4).shape == (1, 1, 3, 1)
