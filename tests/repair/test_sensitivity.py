import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from decig.graph.model import normalise
from decig.repair.sensitivity import finish, sensitivity


def tail(*steps: str) -> ModelProto:
    nodes = []
    name = "a"
    for index, step in enumerate(steps):
        inputs = [name, "two"] if step == "Mul" else [name]
        output = "y" if index == len(steps) - 1 else f"v{index}"
        nodes.append(helper.make_node(step, inputs, [output], name=f"n{index}"))
        name = output
    first = helper.make_node("Relu", ["x"], ["a"], name="first")
    shape = [1, 2, 3, 3]
    graph = helper.make_graph(
        [first, *nodes],
        "tail",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.float32([2.0]), "two")],
    )
    opsets = [helper.make_opsetid("", 20)]
    return normalise(helper.make_model(graph, opset_imports=opsets, ir_version=10))


def test_saturated_positions_count_little() -> None:
    found = finish(tail("Tanh", "Mul"), "a")
    assert found is not None
    value = np.zeros((1, 2, 3, 3), np.float32)
    value[..., 0] = 4.0
    weight = sensitivity(found, [value])[0].reshape(3, 3)
    assert weight.mean() == pytest.approx(1, rel=0.02)
    assert (weight[:, 0] < 0.01 * weight[:, 1]).all()


def test_a_linear_tail_weighs_all_positions_alike() -> None:
    found = finish(tail("Mul"), "a")
    assert found is not None
    value = np.random.default_rng(0).normal(size=(1, 2, 3, 3)).astype(np.float32)
    assert sensitivity(found, [value])[0] == pytest.approx(np.ones((1, 9)), rel=1e-2)


def test_a_tail_that_mixes_positions_has_none() -> None:
    assert finish(tail("Tanh", "Softmax"), "a") is None
