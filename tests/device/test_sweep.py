import numpy as np

from decig.device.session import DeviceOptions
from decig.device.sweep import ROUNDS, measure_sweep, width_designs

from .graphs import style_net

GROUPS = {"a": 32, "b": 128, "c": 9, "tiny": 2}


def test_designs_are_reproducible_and_in_range():
    designs = width_designs(GROUPS)
    assert designs == width_designs(GROUPS)
    assert designs != width_designs(GROUPS, seed=1)
    assert len(designs) == 26
    for name, full in GROUPS.items():
        widths = {design[name] for design in designs}
        assert min(full, 4) == min(widths)
        assert max(widths) == full


def test_uniform_designs_come_first():
    shares = [design["b"] / 128 for design in width_designs(GROUPS)[:6]]
    assert shares == [1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8]


def test_mixed_designs_leave_the_diagonal():
    designs = width_designs({"a": 128, "b": 128})[6:]
    a, b = (np.array([design[name] for design in designs]) for name in "ab")
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.5
    assert sum(a % 16 == 0) >= 8
    assert sum(a % 4 != 0) >= 2


def test_measures_every_design():
    names = [node.name for node in style_net().graph.node]
    designs = [{"width": 16}, {"width": 8}]
    done = []
    points = measure_sweep(
        designs,
        lambda widths: style_net(widths["width"]),
        names,
        DeviceOptions(),
        progress=done.append,
        max_seconds=2.0,
    )
    assert [point.widths for point in points] == designs
    assert done[-1] <= ROUNDS * len(designs)
    for point in points:
        assert list(point.nodes) == names
        assert point.latency.median > 0
        assert all(us >= 0 for us in point.nodes.values())
