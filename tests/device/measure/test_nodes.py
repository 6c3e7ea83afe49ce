import pytest

from decig.device.measure.nodes import measure_nodes
from decig.device.run.device import Device
from decig.device.run.timing import Timing
from tests.device.graphs import style_net

TIMING = Timing(min_runs=3, max_runs=3)


def test_nodes_of_a_graph():
    proto = style_net()
    names = [node.name for node in proto.graph.node]
    found = measure_nodes(proto, names, Device.of(), TIMING, unprofiled=True)
    assert list(found.nodes) == names
    assert all(us >= 0 for us in found.nodes.values())
    assert found.nodes["res.b"] > 0
    assert found.nodes["hidden_node"] == 0
    assert found.absorbed["hidden_node"] == "res.a"
    assert found.kernels["norm"] == "InstanceNormalization"
    assert 0 < found.share <= 1
    assert found.latency.runs == 3
    assert found.kernel_sum_us > 0


def test_profiled_latency_holds_the_kernels():
    proto = style_net(width=32, size=64)
    names = [node.name for node in proto.graph.node]
    found = measure_nodes(proto, names, Device.of(), TIMING)
    assert sum(found.nodes.values()) == pytest.approx(found.latency.median, rel=0.5)
