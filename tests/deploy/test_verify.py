import numpy as np
import pytest
from samples import generator

from decig.deploy.inputs import seeded_feeds
from decig.deploy.verify import relative_difference, require_same, runner, torch_runner
from decig.errors import DecigError
from decig.graph.model import initializers, normalise, replace_initializers


def changed(by: float):
    proto = normalise(generator())
    weight = initializers(proto)["conv2.weight"]
    replace_initializers(proto, {"conv2.weight": weight + np.float32(by)})
    return proto


def test_a_graph_agrees_with_itself_at_any_optimisation():
    proto = normalise(generator())
    feeds = seeded_feeds(proto, None)
    assert relative_difference(runner(proto), runner(proto, None, "all"), feeds) < 1e-5


def test_a_difference_is_seen_and_refused():
    feeds = seeded_feeds(generator(), None)
    found = relative_difference(runner(changed(0)), runner(changed(0.01)), feeds)
    assert found > 1e-4
    with pytest.raises(DecigError, match=r"this: outputs differ by .* of their range"):
        require_same(found, "this")


def test_what_is_no_number_is_refused():
    with pytest.raises(DecigError):
        require_same(float("nan"), "this")
    with pytest.raises(DecigError):
        require_same(float("inf"), "this")


def test_the_trained_module_agrees():
    pytest.importorskip("torch")
    proto = normalise(generator())
    feeds = seeded_feeds(proto, None)
    require_same(relative_difference(torch_runner(proto), runner(proto), feeds), "module")
