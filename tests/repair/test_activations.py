from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, TensorProto, helper, numpy_helper

from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.model import normalise
from decig.repair.activations import Stream, run_graph
from decig.repair.scores import Importance
from tests.repair.small import INPUTS, generator


def test_piece_by_piece_is_the_whole_graph() -> None:
    proto = generator("InstanceNormalization")
    stream = Stream(proto, INPUTS)
    for node in proto.graph.node:
        stream.advance(node.name)
    stream.advance(None)
    made = np.concatenate(stream.value(proto.graph.output[0].name))
    assert len(made) == len(INPUTS)
    assert made == pytest.approx(run_graph(proto, INPUTS), abs=1e-5)


def test_values_live_until_their_last_reader_or_while_pinned() -> None:
    proto = generator("InstanceNormalization")
    nodes = list(proto.graph.node)
    pinned = nodes[0].output[0]
    stream = Stream(proto, INPUTS, pinned=[pinned])
    stream.advance(nodes[2].name)
    assert stream.has(pinned)
    assert not stream.has(proto.graph.input[0].name)
    assert not stream.has(nodes[2].output[0])
    stream.unpin([pinned])
    assert not stream.has(pinned)
    with pytest.raises(KeyError):
        stream.value(pinned)


def test_images_of_another_size_are_refused() -> None:
    proto = generator("InstanceNormalization")
    with pytest.raises(BadInputError, match=r"input x takes \[1, 3, 20, 20\] tensors"):
        Stream(proto, [{"x": INPUTS[0]["x"][:, :, :10]}])
    with pytest.raises(BadInputError, match="no images"):
        Stream(proto, [])


def test_a_constant_is_the_same_in_every_run() -> None:
    stream = Stream(generator("InstanceNormalization"), INPUTS)
    found = stream.value("a.weight")
    assert len(found) == len(INPUTS)
    assert all(array.shape == (12, 3, 3, 3) for array in found)


def test_what_a_branch_of_an_if_reads_is_kept_for_it() -> None:
    def branch(op_type: str) -> GraphProto:
        nodes = [
            helper.make_node(op_type, ["a"], ["b"]),
            helper.make_node("Mul", ["b", "two"], ["c"]),
        ]
        made = helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 3, 20, 20])
        return helper.make_graph(nodes, op_type, [], [made])

    branches = {"then_branch": branch("Relu"), "else_branch": branch("Tanh")}
    nodes = [
        helper.make_node("Abs", ["x"], ["a"], name="a"),
        helper.make_node("ReduceSum", ["x"], ["sum"], name="sum", keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["much"], name="much"),
        helper.make_node("If", ["much"], ["y"], name="if", **branches),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 20, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 20, 20])],
        [
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.float32(2), "two"),
        ],
    )
    proto = normalise(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    )
    stream = Stream(proto, INPUTS)
    for node in proto.graph.node:
        stream.advance(node.name)
    stream.advance(None)
    assert np.concatenate(stream.value("y")) == pytest.approx(run_graph(proto, INPUTS), abs=1e-5)


def test_scores_and_runs_take_the_threads_of_work_that_is_not_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    make = Device.of

    def noted(*arguments: Any, threads: int = 1) -> Device:
        asked.append(threads)
        return make(*arguments)

    monkeypatch.setattr(Device, "of", noted)
    monkeypatch.setattr("decig.device.run.threads.available_cores", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS")
    proto = generator("InstanceNormalization")
    scores = Importance(proto, analyse(proto), INPUTS)
    assert asked == [3]
    assert scores.loss
    run_graph(proto, INPUTS)
    assert len(asked) > 2
    assert set(asked) == {3}
