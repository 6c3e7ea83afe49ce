import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decig.graph.model import normalise
from decig.graph.traffic import host_of, traffic
from tests.graph.random_graphs import random_graphs
from tests.graph.tiny import tiny

CONV = 4 * (3 * 64 + 5 * 3 * 9 + 5 * 64)  # input, weights and output of the Conv below


def conv_and_relu():
    return tiny("[c] a = Conv <pads = [1, 1, 1, 1]> (x, w)\n[r] y = Relu(a)", w=(5, 3, 3, 3))


def test_inputs_weights_and_outputs():
    assert traffic(conv_and_relu()) == {"c": CONV, "r": 4 * 2 * 5 * 64}


def test_what_passes_inside_a_fused_node_is_not_moved():
    assert traffic(conv_and_relu(), {"r": "c"}) == {"c": CONV, "r": 0}


def test_a_value_that_others_read_too_is_written_all_the_same():
    body = """
        [c] a = Conv <pads = [1, 1, 1, 1]> (x, w)
        [r] b = Relu(a)
        [s] d = Sigmoid(a)
        [p] y = Add(b, d)
    """
    moved = traffic(tiny(body, w=(5, 3, 3, 3)), {"r": "c"})
    assert moved["c"] == CONV + 4 * 5 * 64


def test_a_value_read_twice_is_read_once():
    assert traffic(tiny("[m] y = Mul(x, x)")) == {"m": 4 * 2 * 3 * 64}


@pytest.mark.parametrize(
    ("body", "name", "moved"),
    [
        ("[v] a = Reshape(x, s)\n[r] y = Relu(a)", "v", 0),
        ("[v] a = Reshape(x, s)\n[r] y = Relu(a)", "r", 2 * 768),
        ("[r] a = Relu(x)\n[v] y = Reshape(a, s)", "r", 2 * 768),
        ("[g] a = Gather <axis = 1> (x, i)\n[r] y = Relu(a)", "g", 2 * 512 + 16),
        ("[c] y = Concat <axis = 1> (x, x)", "c", 3 * 768),
    ],
)
def test_views_and_picks(body, name, moved):
    constants = {"s": [1, 3, 16, 4]} if "s)" in body else {}
    constants |= {"i": [0, 2]} if "i)" in body else {}
    assert traffic(tiny(body, outputs="float[N,C,H,W] y", **constants))[name] == moved


def test_elements_have_their_real_size():
    inputs, outputs = "float16[1,3,8,8] x", "float16[N,C,H,W] y"
    assert traffic(tiny("[r] y = Relu(x)", inputs=inputs, outputs=outputs)) == {"r": 2 * 2 * 192}
    body = "[q] q = QuantizeLinear(x, s, z)\n[d] y = DequantizeLinear(q, s2, z2)"
    scale, zero = np.float32(0.1), np.uint8(3)
    found = traffic(tiny(body, s=scale, z=zero, s2=scale, z2=zero))
    assert found == {"q": 5 * 192 + 5, "d": 5 * 192 + 5}


def test_chains_of_absorbed_nodes():
    hosts = {"a": "b", "b": "c", "x": "y", "y": "x"}
    assert host_of("a", hosts) == host_of("c", hosts) == "c"
    assert host_of("x", hosts) in ("x", "y")


@settings(max_examples=15, deadline=None)
@given(random_graphs(), st.randoms(use_true_random=False))
def test_fusing_moves_no_more_and_loses_no_node(graph, random):
    proto = normalise(graph.proto)
    names = [node.name for node in proto.graph.node]
    hosts = {name: random.choice(names[:i]) for i, name in enumerate(names) if i and i % 3}
    apart, fused = traffic(proto), traffic(proto, hosts)
    assert apart.keys() == fused.keys() == set(names)
    assert all(fused[name] == 0 for name in hosts)
    assert all(size >= 0 for size in apart.values())
    for host in names:
        members = [name for name in names if host_of(name, hosts) == host]
        assert fused[host] <= sum(apart[name] for name in members)
