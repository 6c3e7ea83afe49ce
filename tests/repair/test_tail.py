import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from decig.graph.model import infer_shapes
from decig.repair.tail import tails, way_out
from tests.repair.small import generator


def graph(nodes: list, **constants: np.ndarray) -> ModelProto:
    for index, node in enumerate(nodes):
        node.name = f"node{index}"
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20)]
    return infer_shapes(helper.make_model(made, opset_imports=opsets, ir_version=10))


def conv(source: str, made: str) -> object:
    return helper.make_node("Conv", [source, "w"], [made], pads=[1] * 4)


WEIGHT = np.ones((4, 4, 3, 3), np.float32)


def test_norm_sum_and_rectifier_are_found() -> None:
    found = tails(generator("InstanceNormalization", residual=True))
    assert (found["node0"].value, found["node0"].rectified) == ("n", True)
    block = found["node3"]
    assert (block.value, block.skip, block.last, block.rectified) == ("s", "r", "node5", False)
    assert block.norm is not None
    assert block.norm.name == "node4"
    assert found["node6"].value == "t"


def test_a_sum_with_what_comes_later_is_not_carried() -> None:
    proto = graph(
        [conv("x", "a"), conv("x", "b"), helper.make_node("Add", ["a", "b"], ["y"])], w=WEIGHT
    )
    found = tails(proto)
    assert (found["node0"].value, found["node0"].skip) == ("a", None)
    assert (found["node1"].value, found["node1"].skip) == ("y", "a")


@pytest.mark.parametrize(("first", "skip"), [("m", "b"), ("b", None)])
def test_a_sum_may_broadcast_what_is_added_only(first: str, skip: str | None) -> None:
    steps = [
        helper.make_node("GlobalAveragePool", ["x"], ["m"]),
        helper.make_node("Conv", ["m" if first == "m" else "x", "w"], ["b"], pads=[1] * 4),
    ]
    steps += [conv("x", "a"), helper.make_node("Add", ["a", "b"], ["y"])]
    if first == "b":
        steps[2] = helper.make_node("Conv", ["m", "w"], ["a"], pads=[1] * 4)
    assert tails(graph(steps, w=WEIGHT))["node2"].skip == skip


@pytest.mark.parametrize(("start", "end"), [(0, "s"), (1, "a")])
def test_only_crops_at_the_far_side_are_passed(start: int, end: str) -> None:
    crop = helper.make_node("Slice", ["a", "from", "to", "axes"], ["s"])
    proto = graph(
        [conv("x", "a"), crop, helper.make_node("Tanh", ["s"], ["y"])],
        w=WEIGHT,
        **{"from": np.array([start]), "to": np.array([7]), "axes": np.array([2])},
    )
    assert tails(proto)["node0"].value == end


def test_a_value_with_two_readers_ends_the_tail() -> None:
    steps = [conv("x", "a"), helper.make_node("Relu", ["a"], ["r"])]
    steps.append(helper.make_node("Add", ["a", "r"], ["y"]))
    assert not tails(graph(steps, w=WEIGHT))["node0"].rectified


def test_the_way_out_is_what_the_graph_does() -> None:
    steps = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Tanh", ["a"], ["t"]),
        helper.make_node("Mul", ["t", "scale"], ["m"]),
        helper.make_node("Clip", ["m", "", "top"], ["y"]),
    ]
    proto = graph(steps, w=WEIGHT, scale=np.float32(150), top=np.float32(100))
    way = way_out(proto, "a")
    assert way is not None
    values = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 4, 3)
    assert way(values) == pytest.approx(np.minimum(150 * np.tanh(values), 100), rel=1e-4)


@pytest.mark.parametrize("step", ["Softmax", "Transpose"])
def test_no_way_out_through_what_is_not_elementwise(step: str) -> None:
    proto = graph([conv("x", "a"), helper.make_node(step, ["a"], ["y"])], w=WEIGHT)
    assert way_out(proto, "a") is None
    assert way_out(proto, "y") is None


def test_a_sum_is_not_cropped() -> None:
    crop = helper.make_node("Slice", ["b", "from", "to", "axes"], ["s"])
    steps = [conv("x", "a"), conv("a", "c"), helper.make_node("Add", ["c", "a"], ["b"]), crop]
    proto = graph(
        [*steps, helper.make_node("Tanh", ["s"], ["y"])],
        w=WEIGHT,
        **{"from": np.array([0]), "to": np.array([7]), "axes": np.array([2])},
    )
    assert (tails(proto)["node1"].value, tails(proto)["node1"].skip) == ("b", "a")


def test_numbers_of_many_axes_on_the_way_out() -> None:
    steps = [conv("x", "a"), helper.make_node("Mul", ["a", "scale"], ["y"])]
    way = way_out(graph(steps, w=WEIGHT, scale=np.full((1, 1, 1, 1), 3, np.float32)), "a")
    assert way is not None
    values = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 4, 3)
    np.testing.assert_allclose(way(values), 3 * values, rtol=1e-6)


def test_what_a_branch_of_an_if_reads_ends_the_tail() -> None:
    inside = helper.make_graph(
        [helper.make_node("Tanh", ["a"], ["t"])],
        "branch",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, 4, 8, 8])],
    )
    steps = [
        conv("x", "a"),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("If", ["yes"], ["b"], then_branch=inside, else_branch=inside),
        helper.make_node("Add", ["r", "b"], ["y"]),
    ]
    assert not tails(graph(steps, w=WEIGHT, yes=np.array(True)))["node0"].rectified


def test_the_way_out_may_lead_to_any_output() -> None:
    steps = [
        conv("x", "a"),
        helper.make_node("Sigmoid", ["a"], ["y"]),
        conv("y", "b"),
        helper.make_node("Tanh", ["b"], ["z"]),
    ]
    proto = graph(steps, w=WEIGHT)
    proto.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4, 8, 8]))
    way = way_out(proto, "b")
    assert way is not None
    values = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 4, 3)
    np.testing.assert_allclose(way(values), np.tanh(values), atol=1e-6)
