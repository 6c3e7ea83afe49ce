"""DepthToSpace becomes two transpositions of neighbouring axes."""

import pytest

from tests.graph.rewrite.small import Net, names, operators, rewritten

RULE = "depth_to_space"


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("batch", [1, 2])
def test_both_orders(batch: int, factor: int, mode: str) -> None:
    net = Net(batch, 3 * factor**2, 4, 5)
    value = net.node("DepthToSpace", "x", name="shuffle", blocksize=factor, mode=mode)
    after, applied = rewritten(net.finish(net.node("Relu", value)), RULE, tolerance=0.0)
    assert operators(after)[:-1] == ["Reshape", "Transpose", "Reshape", "Transpose", "Reshape"]
    assert "shuffle" in names(after)
    assert [entry.node for entry in applied] == ["shuffle"]


def test_the_default_order_is_dcr() -> None:
    net = Net(1, 8, 3, 3)
    rewritten(net.finish(net.node("DepthToSpace", "x", blocksize=2)), RULE, tolerance=0.0)
