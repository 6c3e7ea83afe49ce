"""Slicing: shapes, names, and what is left alone."""

import numpy as np
import onnx
from onnx import numpy_helper

from decig.graph.channels import analyse
from decig.graph.model import initializers, shapes
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from tests.graph.tiny import keep, run, shape_of, tiny

NET = "[c1] a = Conv(x, w1, b1)\n b = Relu(a)\n [c2] y = Conv(b, w2, b2)"
SHAPES = {"w1": (6, 3, 3, 3), "b1": (6,), "w2": (3, 6, 3, 3), "b2": (3,)}


def test_the_kept_weights_are_those_of_the_plan():
    proto = tiny(NET, **SHAPES)
    channels = analyse(proto)
    before = initializers(proto)
    sliced = initializers(slice_graph(proto, channels, keep(channels, c1=[1, 4])))
    assert np.array_equal(sliced["w1"], before["w1"][[1, 4]])
    assert np.array_equal(sliced["b1"], before["b1"][[1, 4]])
    assert np.array_equal(sliced["w2"], before["w2"][:, [1, 4]])
    assert np.array_equal(sliced["b2"], before["b2"])


def test_names_and_metadata_stay_and_the_original_is_untouched():
    proto = tiny(NET, **SHAPES)
    proto.metadata_props.add(key="who", value="test")
    content = proto.SerializeToString()
    channels = analyse(proto)
    sliced = slice_graph(proto, channels, keep(channels, c1=[0]))
    assert proto.SerializeToString() == content
    assert [n.name for n in sliced.graph.node] == [n.name for n in proto.graph.node]
    assert initializers(sliced).keys() == initializers(proto).keys()
    assert sliced.metadata_props[0].value == "test"
    onnx.checker.check_model(sliced, full_check=True)


def test_shapes_are_inferred_anew():
    proto = tiny(NET, **SHAPES)
    channels = analyse(proto)
    sliced = slice_graph(proto, channels, keep(channels, c1=[0, 1]))
    assert shapes(sliced)["b"] == (1, 2, 6, 6)
    assert shapes(sliced)["y"] == shapes(proto)["y"]


def test_a_plan_that_keeps_all_changes_nothing():
    proto = tiny(NET, **SHAPES)
    channels = analyse(proto)
    for plan in (Plan("", {}), keep(channels, c1=list(range(6)))):
        sliced = slice_graph(proto, channels, plan)
        assert sliced.graph.initializer == proto.graph.initializer


def test_slicing_works_on_the_same_graph_with_other_weights():
    proto = tiny(NET, **SHAPES)
    channels = analyse(proto)
    trained = onnx.ModelProto()
    trained.CopyFrom(proto)
    for tensor in trained.graph.initializer:
        doubled = 2 * numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(doubled, tensor.name))
    sliced = slice_graph(trained, channels, keep(channels, c1=[2]))
    assert np.array_equal(initializers(sliced)["w1"], 2 * initializers(proto)["w1"][[2]])


def test_one_channel_left_everywhere_still_runs():
    proto = tiny(NET, **SHAPES)
    channels = analyse(proto)
    sliced = slice_graph(proto, channels, keep(channels, c1=[5]))
    assert shape_of(sliced, "w1") == [1, 3, 3, 3]
    assert run(sliced)[0].shape == (1, 3, 4, 4)


def test_half_precision_weights_keep_their_type():
    body = "h = Cast<to=10>(x)\n [c1] a = Conv(h, w1)\n [c2] b = Conv(a, w2)\n y = Cast<to=1>(b)"
    halves = {
        "w1": np.ones((4, 3, 1, 1), np.float16),
        "w2": np.ones((3, 4, 1, 1), np.float16),
    }
    proto = tiny(body, **halves)
    channels = analyse(proto)
    sliced = initializers(slice_graph(proto, channels, keep(channels, c1=[0, 1])))
    assert (sliced["w1"].dtype, sliced["w1"].shape) == (np.float16, (2, 3, 1, 1))
