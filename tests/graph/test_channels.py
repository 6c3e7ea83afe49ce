"""Groups: which channels go together, which stay, and how they are named."""

import numpy as np

from decig.graph.channels import Port, analyse
from tests.graph.tiny import keep, reasons, run, tiny, widths, worst_difference

TWO = "[c1] a = Conv(x, w1)\n [c2] y = Conv(a, w2)"
RESIDUAL = """
    [c1] a = Conv(x, w1)
    [c2] b = Conv(a, w2)
    [c3] c = Conv(b, w3)
    s = Add(a, c)
    [c4] y = Conv(s, w4)
"""
RESIDUAL_SHAPES = {"w1": (8, 3, 1, 1), "w2": (6, 8, 1, 1), "w3": (8, 6, 1, 1), "w4": (3, 8, 1, 1)}


def test_a_group_between_two_convolutions():
    channels = analyse(tiny(TWO, w1=(8, 3, 1, 1), w2=(3, 8, 1, 1)))
    (hidden, output) = channels.groups
    assert (hidden.name, hidden.channels, hidden.prunable, hidden.exact) == ("c1", 8, True, True)
    assert hidden.nodes == ["c1", "c2"]
    assert (output.name, output.prunable, output.reason) == ("c2", False, "graph output y")
    assert channels.prunable == [hidden]
    assert channels.group("c1") is hidden
    assert channels.widths == {"c1": 8, "c2": 3}


def test_a_residual_sum_makes_one_group_of_its_branches():
    channels = analyse(tiny(RESIDUAL, **RESIDUAL_SHAPES))
    assert widths(channels) == {"c1": 8, "c2": 6}
    assert channels.group("c1").nodes == ["c1", "c2", "c3", "c4"]
    assert [(b.initializer, b.role) for b in channels.bindings] == [
        ("w1", "read"),
        ("w1", "write"),
        ("w2", "read"),
        ("w2", "write"),
        ("w3", "read"),
        ("w3", "write"),
        ("w4", "read"),
        ("w4", "write"),
    ]


def test_concat_keeps_the_groups_of_its_parts():
    body = """
        [c1] a = Conv(x, w1)
        [c2] b = Conv(x, w2)
        j = Concat<axis=1>(a, b)
        [c3] y = Conv(j, w3)
    """
    channels = analyse(tiny(body, w1=(4, 3, 1, 1), w2=(5, 3, 1, 1), w3=(3, 9, 1, 1)))
    assert widths(channels) == {"c1": 4, "c2": 5}


def test_names_follow_the_weights_of_pytorch():
    proto = tiny(TWO, w1=(8, 3, 1, 1), w2=(3, 8, 1, 1))
    for node in proto.graph.node:
        node.input[1] = {"w1": "model.1.weight", "w2": "onnx::Conv_7.weight"}[node.input[1]]
    for tensor in proto.graph.initializer:
        tensor.name = {"w1": "model.1.weight", "w2": "onnx::Conv_7.weight"}[tensor.name]
    assert [group.name for group in analyse(proto).groups] == ["model.1", "c2"]


def test_parts_of_one_convolution_are_groups_of_their_own():
    body = """
        [c1] a = Conv(x, w1)
        p, q = Split<axis=1>(a, sizes)
        r = Concat<axis=1>(q, p)
        [c2] y = Conv(r, w2)
    """
    channels = analyse(tiny(body, w1=(6, 3, 1, 1), sizes=[2, 4], w2=(3, 6, 1, 1)))
    assert widths(channels) == {"c1": 2, "c1#2": 4}


def test_a_single_channel_cannot_be_cut():
    channels = analyse(tiny(TWO, w1=(1, 3, 1, 1), w2=(3, 1, 1, 1)))
    assert reasons(channels)["c1"] == "a single channel"


def test_an_unknown_operator_freezes_what_it_touches_and_nothing_else():
    body = """
        [c1] a = Conv(x, w1)
        [odd] b = own.Odd(a)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(
        body.replace("[odd] b", "[c3] d = Conv(a, w3)\n [odd] b").replace("(a)", "(d)"),
        w1=(6, 3, 1, 1),
        w3=(5, 6, 1, 1),
        w2=(3, 5, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert reasons(channels)["c3"] == "operator Odd of node odd is not known"


def test_a_value_that_a_subgraph_captures_is_frozen():
    branch = "g () => (float[1,6,8,8] {0}) {{ {0} = Identity(a) }}"
    body = f"""
        [c1] a = Conv(x, w1)
        [if] b = If(flag) <then_branch = {branch.format("t")}, else_branch = {branch.format("e")}>
        [c2] c = Conv(b, w2)
        [c3] y = Conv(c, w3)
    """
    proto = tiny(
        body,
        inputs="float[1,3,8,8] x, bool flag",
        w1=(6, 3, 1, 1),
        w2=(4, 6, 1, 1),
        w3=(3, 4, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"c2": 4}
    assert reasons(channels)["c1"] == "operator If of node if is not known"


def test_a_rule_that_cannot_follow_the_shapes_freezes():
    """A vector where a convolution wants four axes: behind an unknown operator nobody checks."""
    proto = tiny("[odd] a = own.Odd(x)\n [c] y = Conv(a, w)", w=(3, 3, 1, 1))
    channels = analyse(proto)
    assert not channels.prunable
    assert not channels.groups


def test_cuts_leave_boxes():
    """[1, 8] -> [1, 2, 4]: both axes vary until the first is tied."""
    body = """
        [c1] a = Conv(x, w1)
        b = Reshape(a, wide)
        [t] c = Transpose<perm=[0,2,1,3,4]>(b)
        d = Reshape(c, narrow)
        [c2] y = Conv(d, w2)
    """
    proto = tiny(body, w1=(8, 3, 1, 1), wide=[1, 2, 4, 8, 8], narrow=[1, 8, 8, 8], w2=(3, 8, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 4}
    assert channels.classes_of(channels.ids_of("a")).ravel().tolist() == [1, 2, 3, 4] * 2
    assert worst_difference(proto, channels, keep(channels, c1=[0, 3])) < 1e-5


def test_boxes_end_where_fixed_channels_meet_free_ones():
    """Padding channels are fixed: the reshape ties real ones to them, which freezes those."""
    body = """
        [c1] a = Conv(x, w1)
        p = Pad(a, amounts)
        b = Reshape(p, wide)
        [t] c = Transpose<perm=[0,2,1,3,4]>(b)
        d = Reshape(c, narrow)
        [c2] y = Conv(d, w2)
    """
    proto = tiny(
        body,
        w1=(6, 3, 1, 1),
        amounts=[0, 1, 0, 0, 0, 1, 0, 0],
        wide=[1, 2, 4, 8, 8],
        narrow=[1, 8, 8, 8],
        w2=(3, 8, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 2}
    assert worst_difference(proto, channels, keep(channels, c1=[1])) < 1e-5


def test_removed_marks_the_identities_of_a_plan():
    channels = analyse(tiny(TWO, w1=(4, 3, 1, 1), w2=(3, 4, 1, 1)))
    gone = channels.removed({"c1": [0, 2], "c2": [0]})
    assert gone[channels.ids_of("a")].ravel().tolist() == [False, True, False, True]
    assert not gone[channels.ids_of("y")].any(), "a frozen group stays whatever the plan says"


def test_ports_count_channels_on_both_sides():
    body = """
        [c1] a = Conv(x, w1)
        j = Concat<axis=1>(x, a)
        [c2] y = Conv(j, w2)
    """
    channels = analyse(tiny(body, w1=(8, 3, 1, 1), w2=(3, 11, 1, 1)))
    assert channels.ports["c1"] == (Port({}, 3), Port({"c1": 8}, 0))
    incoming, outgoing = channels.ports["c2"]
    assert incoming == Port({"c1": 8}, 3)
    assert outgoing == Port({"c2": 3}, 0)
    assert incoming.width({"c1": 2}, channels.widths) == 5
    assert incoming.width({}, channels.widths) == 11


def test_ports_count_a_repeated_channel_each_time():
    body = "[c1] a = Conv(x, w1)\n j = Concat<axis=1>(a, a)\n [c2] y = Conv(j, w2)"
    channels = analyse(tiny(body, w1=(4, 3, 1, 1), w2=(3, 8, 1, 1)))
    incoming = channels.ports["c2"][0]
    assert incoming == Port({"c1": 8}, 0)
    assert incoming.width({"c1": 3}, channels.widths) == 6


def test_a_graph_without_weights_has_no_groups():
    proto = tiny("y = Relu(x)")
    channels = analyse(proto)
    assert channels.groups == []
    assert np.array_equal(run(proto)[0].shape, (1, 3, 8, 8))
