import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.device.measure.limits import Limits
from decig.device.measure.nodes import NodeTimes
from decig.device.measure.roofline import (
    Roofline,
    Work,
    compare,
    count_work,
    measure_roofline,
)
from decig.device.run.device import Device
from decig.graph.cost import count
from decig.graph.model import normalise
from decig.graph.rewrite import CANONICAL, DEVICE, apply
from tests.device.graphs import style_net
from tests.device.tables import latency, make_table
from tests.graph.tiny import tiny

LIMITS = Limits(100.0, 20.0)  # 1e5 operations and 2e4 bytes a microsecond
WORKS = {
    "busy": Work(macs=5_000_000, bytes=400_000),  # 100 us of arithmetic, 20 of bytes
    "copy": Work(macs=0, bytes=2_000_000),  # 100 us
    "gone": Work(macs=0, bytes=0),
}
NODES = [("busy", "Conv", 400.0), ("copy", "Relu", 125.0), ("gone", "Relu", 0.0)]


def test_nodes_worked_out_by_hand():
    found = Roofline.of(LIMITS, NODES, WORKS)
    busy, copy = found.nodes
    assert (busy.name, busy.op, busy.bound) == ("busy", "Conv", "compute")
    assert busy.gflops == pytest.approx(25.0)
    assert busy.gbytes_per_s == pytest.approx(1.0)
    assert (busy.least_us, busy.of_limit) == (pytest.approx(100.0), pytest.approx(0.25))
    assert (copy.bound, copy.gflops, copy.of_limit) == ("memory", 0.0, pytest.approx(0.8))
    assert copy.gbytes_per_s == pytest.approx(16.0)
    whole = found.whole
    assert (whole.latency_us, whole.least_us) == (pytest.approx(525.0), pytest.approx(200.0))
    assert whole.work == Work(5_000_000, 2_400_000)
    assert [part.name for part in found.costliest(1)] == ["busy"]


def test_the_json_object():
    found = Roofline.of(LIMITS, NODES, WORKS)
    value = compare(found, found)
    assert value["limits"] == {"gflops": 100.0, "gbytes_per_s": 20.0}
    assert value["reference"] == value["candidate"] == found.to_dict()
    assert value["candidate"]["nodes"][0] == {
        "name": "busy",
        "op": "Conv",
        "latency_us": 400.0,
        "macs": 5_000_000,
        "bytes": 400_000,
        "gflops": 25.0,
        "gbytes_per_s": 1.0,
        "of_peak": 0.25,
        "of_copy": 0.05,
        "least_us": 100.0,
        "of_limit": 0.25,
        "bound": "compute",
    }


@given(st.integers(1, 10**12), st.integers(1, 10**10), st.floats(1, 1e4), st.floats(0.1, 1e4))
def test_the_least_time_is_that_of_the_roofline(macs, moved, gflops, gbytes_per_s):
    limits = Limits(gflops, gbytes_per_s)
    part = Roofline.of(limits, [("n", "Conv", 1.0)], {"n": Work(macs, moved)}).whole
    attainable = min(gflops, gbytes_per_s * 2 * macs / moved)
    assert 2e-3 * macs / part.least_us == pytest.approx(attainable)


def test_shares_of_a_part_add_up_to_it():
    part = Roofline.of(LIMITS, NODES, WORKS).nodes[0]
    again = Roofline.together([part.scaled(0.25), part.scaled(0.75)])
    named = dataclasses.replace(again, name=part.name, op=part.op)
    assert named == part


def test_an_empty_graph():
    whole = Roofline.of(LIMITS, [], {}).whole
    assert (whole.latency_us, whole.gflops, whole.gbytes_per_s, whole.of_limit) == (0, 0, 0, 0)


def times_of(proto, idle=(), absorbed=()):
    """A microsecond each, but for nodes that were fused or taken out."""
    nodes = {node.name: 1.0 for node in proto.graph.node} | dict.fromkeys(idle, 0.0)
    return NodeTimes(latency(10.0), 10.0, 1.0, nodes, dict(absorbed), {}, {}, 0.0)


def test_work_goes_to_the_node_that_absorbs():
    proto = normalise(style_net())
    plain = count_work(proto, times_of(proto))
    absorbed = {"hidden_node": "res.a"}
    fused = count_work(proto, times_of(proto, absorbed, absorbed))
    assert sum(work.macs for work in plain.values()) == count(proto).macs
    assert sum(work.macs for work in fused.values()) == count(proto).macs
    assert fused["hidden_node"] == Work(0, 0)
    between = 4 * 16 * 24 * 24  # what passes from the Conv to its Relu, written and read again
    assert plain["res.a"].bytes + plain["hidden_node"].bytes - 2 * between == fused["res.a"].bytes
    absorbed = {"res.a": "res.b"}
    swallowed = count_work(proto, times_of(proto, absorbed, absorbed))
    assert swallowed["res.b"].macs == plain["res.a"].macs + plain["res.b"].macs


def test_what_a_rewrite_took_out_is_done_by_a_neighbour():
    body = """
        [pad] a = Pad(x, pads)
        [conv] b = Conv(a, w)
        [scale] c = Mul(b, s)
        [relu] y = Relu(c)
    """
    weights = {"pads": [0, 0, 1, 1] * 2, "w": (5, 3, 3, 3), "s": np.float32(3)}
    proto = tiny(body, **weights)
    found = count_work(proto, times_of(proto, ("pad", "scale")))
    maps = 4 * 64
    assert found["pad"] == found["scale"] == Work(0, 0)
    assert found["relu"] == Work(0, 10 * maps)
    assert found["conv"].macs == 64 * 5 * 27
    moved = 3 * maps + 4 * 5 * 27 + 5 * maps
    assert moved <= found["conv"].bytes <= moved + 100  # and the padding and the scale
    everything = count_work(proto, times_of(proto, ("pad", "conv", "scale")))
    assert everything["relu"].macs == 64 * 5 * 27
    nothing = count_work(proto, times_of(proto, ("pad", "conv", "scale", "relu")))
    assert nothing["conv"].macs == 64 * 5 * 27


@pytest.mark.parametrize("rules", [(), (*CANONICAL, *DEVICE)])
def test_times_of_the_nodes_add_up_and_work_is_the_original_graphs(rules):
    proto = normalise(style_net())
    run = apply(proto, rules)[0]
    found = measure_roofline(proto, run, Device.of(), LIMITS)
    assert found.whole.latency_us > 0
    assert sum(part.latency_us for part in found.nodes) == pytest.approx(found.whole.latency_us)
    assert found.whole.work.macs == count(proto).macs
    assert {part.name for part in found.nodes} <= {node.name for node in proto.graph.node}
    assert all(part.least_us > 0 for part in found.nodes if part.op == "Conv")


def test_a_cost_table_with_and_without_limits():
    table = make_table()
    assert table.roofline is None
    nodes = tuple(dataclasses.replace(node, macs=1000, bytes=200) for node in table.nodes)
    found = dataclasses.replace(table, limits=LIMITS, nodes=nodes).roofline
    assert found.whole.latency_us == pytest.approx(table.latency_us.median)
    assert [part.name for part in found.nodes] == ["stem", "norm", "mid", "skip", "head"]
    assert found.limits == LIMITS
