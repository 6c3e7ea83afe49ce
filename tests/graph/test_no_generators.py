"""Classifiers, transformers, loops, sequences: analysed like any graph."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from decig.graph.channels import analyse
from decig.graph.model import load_model, normalise, output_info
from tests.graph.test_model import cut_in_half, one_line
from tests.graph.tiny import parse, run, tiny


def test_a_classifier_is_cut_like_any_graph():
    body = """
        [c1] a = Conv<pads=[1,1,1,1]>(x, w1)
        b = Relu(a)
        p = GlobalAveragePool(b)
        f = Flatten(p)
        [fc] z = Gemm<transB=1>(f, w2, b2)
        y = Softmax<axis=1>(z)
    """
    proto = tiny(body, outputs="float[N,K] y", w1=(8, 3, 3, 3), w2=(10, 8), b2=(10,))
    assert run(cut_in_half(proto))[0].shape == (1, 10)
    channels = analyse(proto)
    assert [group.name for group in channels.prunable] == ["c1"]


def test_a_transformer_is_cut_like_any_graph():
    body = """
        e = Gather(table, ids)
        n = LayerNormalization(e, s, h)
        [q] q = MatMul(n, wq)
        [k] k = MatMul(n, wk)
        [v] v = MatMul(n, wv)
        t = Transpose<perm=[0,2,1]>(k)
        a = MatMul(q, t)
        f = Softmax<axis=2>(a)
        m = MatMul(f, v)
        [o] r = MatMul(m, wo)
        y = Add(r, e)
    """
    proto = tiny(
        body,
        inputs="int64[1,7] ids",
        outputs="float[B,T,D] y",
        table=(20, 8),
        s=(8,),
        h=(8,),
        wq=(8, 6),
        wk=(8, 6),
        wv=(8, 6),
        wo=(6, 8),
    )
    channels = analyse(proto)
    assert [group.name for group in channels.prunable] == ["q", "v"]
    ids = {"ids": np.arange(7).reshape(1, 7)}
    assert run(cut_in_half(proto), ids)[0].shape == (1, 7, 8)


def test_a_loop_is_frozen():
    body = """
        [c1] a = Conv<pads=[1,1,1,1]>(x, w1)
        [loop] b = Loop(count, go, a) <body =
            g (int64 i, bool c, float[1,4,8,8] s) => (bool c2, float[1,4,8,8] t) {
                c2 = Identity(c)
                t = Relu(s)
            }>
        [c2] y = Conv(b, w2)
    """
    constants = {"count": np.int64(3), "go": np.array(True)}
    proto = tiny(body, w1=(4, 3, 3, 3), w2=(3, 4, 1, 1), **constants)
    channels = analyse(proto)
    assert channels.prunable == []
    assert channels.group("c1").reason == "operator Loop of node loop is not known"
    assert run(proto)[0].shape == (1, 3, 8, 8)


def test_sequences_and_optionals_do_no_harm():
    body = """
        [c1] a = Conv(x, w1)
        s = SequenceConstruct(a, a)
        b = SequenceAt(s, zero)
        o = Optional(b)
        c = OptionalGetElement(o)
        [c2] y = Conv(c, w2)
    """
    proto = tiny(body, w1=(4, 3, 1, 1), zero=np.int64(0), w2=(3, 4, 1, 1))
    channels = analyse(proto)
    assert channels.prunable == []
    assert channels.group("c1").reason.startswith("operator Optional")


def test_inputs_that_are_no_tensors():
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [4]))
    graph = helper.make_graph(
        [helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)],
        "g",
        [helper.make_value_info("s", kind)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
    )
    proto = normalise(helper.make_model(graph, opset_imports=[helper.make_operatorsetid("", 17)]))
    assert analyse(proto).groups == []
    assert proto.graph.input[0].type.HasField("sequence_type")


def test_an_optional_input_is_refused(tmp_path: Path):
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [4]))
    graph = helper.make_graph(
        [helper.make_node("OptionalGetElement", ["o"], ["y"])],
        "g",
        [helper.make_value_info("o", kind)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_operatorsetid("", 18)])
    path = tmp_path / "optional.onnx"
    path.write_bytes(proto.SerializeToString())
    assert one_line(path) == "input o is optional: only tensors can be inputs"


def test_a_graph_of_strings():
    graph = helper.make_graph(
        [helper.make_node("Identity", ["s"], ["y"])],
        "g",
        [helper.make_tensor_value_info("s", TensorProto.STRING, [2])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [2])],
    )
    proto = normalise(helper.make_model(graph, opset_imports=[helper.make_operatorsetid("", 17)]))
    assert output_info(proto)[0].dtype == np.object_


def test_an_input_without_a_shape_wants_one(tmp_path: Path):
    path = tmp_path / "bare.onnx"
    proto = parse("y = Relu(x)")
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    path.write_bytes(proto.SerializeToString())
    assert one_line(path) == (
        "input x has no shape: give its size, as in --input-shape x:1,3,256,256"
    )
    assert output_info(load_model(path, {"x": [1, 3, 8, 8]}).proto)[0].shape == [1, 3, 8, 8]


def test_sizes_that_depend_on_the_data_freeze():
    body = """
        [c1] a = Conv(x, w1)
        n = NonZero(a)
        y = Cast<to=1>(n)
    """
    proto = tiny(body, outputs="float[A,B] y", w1=(4, 3, 1, 1))
    assert analyse(proto).prunable == []
    assert numpy_helper.to_array(proto.graph.initializer[0]).shape == (4, 3, 1, 1)
