"""Why rules do not match: what each of them says of a node that it looked at."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from decig.errors import BadInputError
from decig.graph.model import load_model
from decig.graph.rewrite import RULES, Refused, apply, explain
from tests.graph.rewrite.small import Net
from tests.graph.tiny import tiny

_LONGEST = 110  # characters that fit behind a node's name


def conv(
    net: Net, value: str = "x", inputs: int = 3, outputs: int = 4, k: int = 3, **more: object
) -> str:
    shape = (outputs, inputs // int(more.get("group", 1)), k, k)
    return net.node("Conv", value, net.weights(*shape), **{"pads": [k // 2] * 4, **more})


def channels(net: Net, count: int = 4) -> str:
    return net.weights(count, 1, 1)


def norm(net: Net, value: str) -> str:
    statistics = [net.weights(4), net.weights(4), net.weights(4), net.constant(np.ones(4))]
    return net.node("BatchNormalization", value, *statistics)


CASES: list[tuple[str, Callable[[Net], str], str]] = [
    ("drop_neutral", lambda n: n.node("Add", "x", channels(n, 3)), "changes its input's numbers"),
    ("drop_neutral", lambda n: n.node("Mul", "x", n.constant(np.ones((2, 1, 1, 1)))), "'s shape"),
    ("fold_batchnorm", lambda n: n.node("Relu", conv(n)), "a Relu reads it, no BatchNorm"),
    ("join_layernorm", lambda n: n.node("Div", "x", n.constant(2.0)), "not divide a difference"),
    ("join_instancenorm", lambda n: n.node("Div", "x", n.constant(2.0)), "divide a difference"),
    ("join_upsample", lambda n: n.node("Reshape", "x", n.constant([3, 64], int)), "no picture"),
    ("join_upsample", lambda n: n.node("Reshape", "x", n.constant([1, 3, 4, 16], int)), "smaller"),
    ("join_hard_sigmoid", lambda n: n.node("Div", "x", n.constant(6.0)), "no Clip is in front"),
    ("leaky_relu", lambda n: n.node("PRelu", "x", channels(n, 3)), "one slope for all channels"),
    ("merge_affine", lambda n: n.node("Add", "x", channels(n, 3)), "1 in a row are as few as"),
    ("scale_into_conv", conv, "reads an input or a constant of the graph"),
    (
        "scale_into_conv",
        lambda n: conv(n, n.node("Add", "x", channels(n, 3))),
        "zeros are padded behind the shift in front",
    ),
    ("affine_into_layer", lambda n: n.node("Relu", conv(n)), "the Relu behind it is no factor or"),
    (
        "shift_before_norm",
        lambda n: n.node("InstanceNormalization", "x", n.weights(3), n.weights(3)),
        "no sum is in front",
    ),
    ("pad_into_conv", conv, "no Pad is in front"),
    (
        "pad_into_conv",
        lambda n: conv(n, n.node("Pad", "x", n.constant([0, 0, 1, 1] * 2, int), mode="edge")),
        "the Pad in front does not fill with zeros",
    ),
    (
        "activation_before_concat",
        lambda n: n.node("Relu", n.node("Concat", n.node("Tanh", "x"), "x", axis=1)),
        "no layer in front fuses with the Relu behind it",
    ),
    ("merge_separable", conv, "a single group"),
    ("merge_separable", lambda n: n.node("Relu", conv(n, outputs=3, group=3)), "a Relu reads it"),
    ("split_resized_concat", conv, "no Concat of several values is in front"),
    ("resize_into_transpose", conv, "no enlargement that repeats pixels is in front"),
    ("resize_into_transpose", lambda n: conv(n, strides=[2, 2]), "its stride is not 1"),
    (
        "slice_into_transpose",
        lambda n: n.node("Relu", n.node("ConvTranspose", "x", n.weights(3, 4, 2, 2))),
        "no Slice follows",
    ),
    ("coarse_head", lambda n: conv(n, group=3, outputs=3), "it is grouped or dilated"),
    ("coarse_head", conv, "saves too little|would save too little"),
    ("coarse_head", lambda n: conv(n, pads=[0] * 4), "its sizes are not whole tiles"),
    ("wide_head", lambda n: conv(n, outputs=32), "no stride that divides its output saves"),
    ("winograd", conv, "fill no whole blocks of 16"),
    ("winograd", lambda n: conv(n, k=5), "its kernel has not three rows"),
    (
        "phase_transpose",
        lambda n: n.node("ConvTranspose", "x", n.weights(3, 4, 2, 2), strides=[2, 2]),
        "its kernel is no larger than its stride",
    ),
]


@pytest.mark.parametrize(("rule", "grow", "reason"), CASES)
def test_a_node_that_does_not_match(rule: str, grow: Callable[[Net], str], reason: str):
    net = Net(1, 3, 8, 8)
    proto = net.finish(net.node("Tanh", grow(net)))
    found = [refused.reason for refused in explain(proto, rule)]
    assert not apply(proto, [rule])[1]
    assert any(part in text for part in reason.split("|") for text in found), found


def test_a_norm_that_takes_the_statistics_of_its_input():
    body = """
        [c] a = Conv(x, w)
        y, m, v = BatchNormalization<training_mode=1>(a, s, b, mean, var)
    """
    proto = tiny(body, w=(4, 3, 1, 1), s=(4,), b=(4,), mean=(4,), var=np.ones(4, np.float32))
    reason = "the BatchNormalization behind it takes the statistics of its input"
    assert explain(proto, "fold_batchnorm") == [Refused("c", reason)]


def test_every_rule_can_say_why_not():
    """`depth_to_space` takes every DepthToSpace of a known shape."""
    assert {rule for rule, _, _ in CASES} == set(RULES) - {"depth_to_space"}


def test_what_matched_is_not_among_the_refused():
    net = Net(1, 3, 8, 8)
    first = norm(net, conv(net))
    second = net.node("Relu", net.node("Conv", first, net.weights(2, 4, 1, 1), name="second"))
    found = explain(net.finish(second), "fold_batchnorm")
    assert found == [Refused("second", "a Relu reads it, no BatchNormalization")]


def test_the_graph_stays_as_it_is():
    net = Net(1, 3, 8, 8)
    proto = net.finish(norm(net, conv(net)))
    before = proto.SerializeToString()
    assert explain(proto, "fold_batchnorm") == []
    assert proto.SerializeToString() == before


def test_an_unknown_rule_is_named():
    net = Net(1, 3, 8, 8)
    with pytest.raises(BadInputError, match="rewrite rule 'faster'"):
        explain(net.finish(net.node("Relu", "x")), "faster")


@pytest.fixture(scope="module")
def real_nets(shared_suite: Path) -> list[onnx.ModelProto]:
    names = ("udnie", "sed_unet", "mobil_highstyle")
    return [load_model(shared_suite / f"{name}.onnx").proto for name in names]


@pytest.mark.parametrize("rule", RULES)
def test_real_nets_get_a_short_reason_for_every_candidate(
    real_nets: list[onnx.ModelProto], rule: str
):
    for proto in real_nets:
        refused = explain(proto, rule)
        done = {step.node for step in apply(proto, [rule])[1]}
        assert done.isdisjoint(each.node for each in refused)
        candidates = {node.name for node in proto.graph.node if RULES[rule].looks_at(node)}
        assert {each.node for each in refused} <= candidates
        for each in refused:
            assert 0 < len(each.reason) <= _LONGEST
            assert "\n" not in each.reason
            assert not each.reason.endswith(".")
