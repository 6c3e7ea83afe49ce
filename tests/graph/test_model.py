"""Loading: the normal form, and what is no usable model, told in one line."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from decig.errors import BadInputError, DecigError
from decig.graph.channels import analyse
from decig.graph.model import (
    initializers,
    input_info,
    load_model,
    normalise,
    output_info,
    replace_initializers,
    save_model,
    shapes,
)
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from graph.tiny import parse, run, tiny

STYLE = """
    [c1] a = Conv<pads=[4,4,4,4]>(x, w1, b1)
    [n1] b = InstanceNormalization(a, s1, h1)
    r = Relu(b)
    [c2] c = Conv<strides=[2,2], pads=[1,1,1,1]>(r, w2)
    d = Relu(c)
    [t3] e = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]>(d, w3)
    [c4] f = Conv<pads=[4,4,4,4]>(e, w4)
    y = Tanh(f)
"""
STYLE_SHAPES = {
    "w1": (16, 3, 9, 9),
    "b1": (16,),
    "s1": (16,),
    "h1": (16,),
    "w2": (32, 16, 3, 3),
    "w3": (32, 16, 3, 3),
    "w4": (3, 16, 9, 9),
}


@pytest.fixture
def style(tmp_path: Path) -> Path:
    """File of a small style transfer net."""
    path = tmp_path / "style.onnx"
    path.write_bytes(parse(STYLE, **STYLE_SHAPES).SerializeToString())
    return path


def one_line(path: Path, **more: object) -> str:
    """Message of the refusal to load a file; it must name the file in one line."""
    with pytest.raises(BadInputError) as caught:
        load_model(path, **more)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def cut_in_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    channels = analyse(proto)
    scores = magnitude_scores(proto, channels)
    plan = plan_from_widths(channels, uniform_widths(channels, 0.5), scores, "")
    return slice_graph(proto, channels, plan)


# --- the normal form --------------------------------------------------------------------------


def test_a_file_is_loaded_with_its_digest(style: Path):
    model = load_model(style)
    assert model.path == style
    assert model.sha256 == hashlib.sha256(style.read_bytes()).hexdigest()
    assert load_model(str(style)).sha256 == model.sha256


def test_inputs_and_outputs_are_described(style: Path):
    proto = load_model(style).proto
    (source,) = input_info(proto)
    assert (source.name, source.shape, source.dtype) == ("x", [1, 3, 8, 8], np.float32)
    assert [(v.name, v.shape) for v in output_info(proto)] == [("y", [1, 3, 8, 8])]


def test_normal_form_is_stable(style: Path):
    proto = load_model(style).proto
    assert normalise(proto) == proto


def test_the_picture_is_the_same(style: Path):
    original = onnx.load(style)
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    assert np.array_equal(run(original, feeds)[0], run(load_model(style).proto, feeds)[0])


def test_nodes_get_unique_names():
    proto = tiny("a = Relu(x)\n [n] b = Relu(a)\n [n] c = Relu(b)\n [Relu_0] y = Relu(c)")
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == 4
    assert "Relu_0" in names
    assert all(names)


def test_shared_initializers_are_parted():
    proto = tiny("a = Mul(x, k)\n b = Mul(a, k)\n y = Mul(b, k)", k=(3, 1, 1))
    used = [node.input[1] for node in proto.graph.node]
    assert len(set(used)) == 3
    arrays = initializers(proto)
    assert all(np.array_equal(arrays[name], arrays["k"]) for name in used)


def test_a_name_that_a_subgraph_uses_stays_its_own():
    branch = "g () => (float[1,3,8,8] {0}) {{ {0} = Add(x, k) }}"
    body = f"""
        b = If(flag) <then_branch = {branch.format("t")}, else_branch = {branch.format("e")}>
        y = Add(b, k)
    """
    proto = tiny(body, inputs="float[1,3,8,8] x, bool flag", k=(3, 1, 1))
    assert proto.graph.node[1].input[1] != "k"
    assert run(proto, {"x": np.zeros((1, 3, 8, 8), "f4"), "flag": np.array(True)})


def test_initializers_listed_as_inputs_are_no_inputs():
    proto = parse(STYLE, **STYLE_SHAPES)
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        proto.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    assert [value.name for value in normalise(proto).graph.input] == ["x"]


def test_shape_arithmetic_is_folded():
    body = """
        s = Shape(x)
        h = Slice(s, two, three)
        t = Concat<axis=0>(one, one, minus)
        u = Concat<axis=0>(t, h)
        y = Reshape(x, u)
    """
    proto = tiny(body, two=[2], three=[3], one=[1], minus=[-1])
    assert [node.op_type for node in proto.graph.node] == ["Reshape"]
    assert shapes(proto)["y"] == (1, 1, 24, 8)


def test_batch_normalization_is_kept():
    body = "a = Conv(x, w)\n y = BatchNormalization(a, s, h, m, v)"
    proto = tiny(body, w=(4, 3, 1, 1), s=(4,), h=(4,), m=(4,), v=np.ones(4, np.float32))
    assert [node.op_type for node in proto.graph.node] == ["Conv", "BatchNormalization"]


def test_metadata_and_opsets_are_kept():
    proto = parse("y = Relu(x)", opset=13)
    proto.metadata_props.add(key="author", value="somebody")
    found = normalise(proto)
    assert found.metadata_props == proto.metadata_props
    assert found.opset_import == proto.opset_import


def test_functions_of_the_file_are_inlined():
    proto = parse("y = own.Twice(x)")
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opsets = [helper.make_operatorsetid("", 17)]
    proto.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], body, opsets))
    assert [node.op_type for node in normalise(proto).graph.node] == ["Add"]


def test_external_data_is_read_from_beside_the_file(tmp_path: Path):
    proto = parse(STYLE, **STYLE_SHAPES)
    path = tmp_path / "style.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert external_data_helper.uses_external_data(
        onnx.load(path, load_external_data=False).graph.initializer[0]
    )
    wanted, found = initializers(parse(STYLE, **STYLE_SHAPES)), initializers(load_model(path).proto)
    assert wanted.keys() == found.keys()
    assert all(np.array_equal(wanted[name], found[name]) for name in wanted)


def test_saved_models_load_again(tmp_path: Path, style: Path):
    proto = load_model(style).proto
    save_model(proto, tmp_path / "out.onnx")
    assert load_model(tmp_path / "out.onnx").proto == proto


def test_replaced_initializers(style: Path):
    proto = load_model(style).proto
    replace_initializers(proto, {"b1": np.zeros(16, np.float32)})
    arrays = initializers(proto)
    assert not arrays["b1"].any()
    assert arrays["w1"].any()


# --- dynamic axes -----------------------------------------------------------------------------


def dynamic(tmp_path: Path, shape: str = "N,3,H,W") -> Path:
    path = tmp_path / "dynamic.onnx"
    proto = parse(STYLE, inputs=f"float[{shape}] x", **STYLE_SHAPES)
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_dynamic_batch_becomes_one(tmp_path: Path):
    proto = load_model(dynamic(tmp_path, "N,3,8,8")).proto
    assert input_info(proto)[0].shape == [1, 3, 8, 8]
    assert output_info(proto)[0].shape == [1, 3, 8, 8]


def test_dynamic_axes_want_a_size(tmp_path: Path):
    path = dynamic(tmp_path)
    message = one_line(path)
    assert message.startswith("input x has dynamic axes (?x3x?x?): ")
    assert "--input-shape x:" in message
    proto = load_model(path, {"x": [1, 3, 16, 24]}).proto
    assert output_info(proto)[0].shape == [1, 3, 16, 24]


def test_a_size_for_an_unknown_input(style: Path):
    message = one_line(style, input_shapes={"z": [1, 3, 8, 8]})
    assert message == "--input-shape z: no such input; inputs are x"


def test_a_size_of_another_rank(style: Path):
    message = one_line(style, input_shapes={"x": [3, 8, 8]})
    assert message == "--input-shape x: this input has 4 axes"


def test_a_size_that_the_weights_refuse(tmp_path: Path):
    path = tmp_path / "dynamic.onnx"
    proto = parse("y = Add(x, k)", inputs="float[N,C,8,8] x", k=(3, 1, 1))
    path.write_bytes(proto.SerializeToString())
    assert "not a valid ONNX graph" in one_line(path, input_shapes={"x": [1, 4, 8, 8]})


# --- no usable model --------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path):
    assert (
        one_line(tmp_path / "nowhere.onnx") == "cannot read this model: No such file or directory"
    )


def test_a_folder(tmp_path: Path):
    assert one_line(tmp_path) == "cannot read this model: Is a directory"


def test_an_empty_file(tmp_path: Path):
    path = tmp_path / "empty.onnx"
    path.touch()
    assert one_line(path) == "not a usable ONNX file: its graph has no nodes"


def test_a_truncated_file(style: Path):
    content = style.read_bytes()
    for share in np.linspace(0.001, 0.999, 40):
        style.write_bytes(content[: int(share * len(content))])
        one_line(style)


def test_random_bytes(tmp_path: Path):
    random = np.random.default_rng(0)
    path = tmp_path / "random.onnx"
    for length in (1, 2, 10, 100, 1000, 10_000):
        path.write_bytes(random.bytes(length))
        one_line(path)


def test_damaged_bytes_end_in_one_line_or_in_a_model(style: Path):
    """Whatever a flipped byte does to names, shapes and attributes."""
    content = style.read_bytes()
    weights = sum(len(t.raw_data) for t in onnx.load(style).graph.initializer)
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[random.integers(len(content) - weights)] = random.integers(256)
        style.write_bytes(bytes(damaged))
        try:
            model = load_model(style)
        except BadInputError as error:
            assert "\n" not in str(error)
        else:
            cut_in_half(model.proto)


def test_external_data_that_is_missing_or_too_short(tmp_path: Path):
    path = tmp_path / "style.onnx"
    proto = parse(STYLE, **STYLE_SHAPES)
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-100])
    one_line(path)
    weights.unlink()
    one_line(path)


def test_an_initializer_with_too_little_data(tmp_path: Path):
    proto = parse("y = Conv(x, w)", w=(4, 3, 1, 1))
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-4]
    path = tmp_path / "short.onnx"
    path.write_bytes(proto.SerializeToString())
    one_line(path)


def test_an_experimental_operator(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "old.onnx"
    proto = parse("[scaler] y = ImageScaler<scale=1.0>(x)", opset=7)
    path.write_bytes(proto.SerializeToString())
    assert one_line(path) == (
        "operator ImageScaler (node 'scaler') is not in ONNX opset 7: "
        "export the model again with current operators"
    )
    assert capfd.readouterr() == ("", ""), "ONNX would warn on stdout"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: Path):
    proto = load_model(style).proto

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    target = tmp_path / "out.onnx"
    with pytest.raises(DecigError, match=r"out\.onnx: not written: No space left on device"):
        save_model(proto, target)
    assert sorted(tmp_path.iterdir()) == [style]


# --- no generator -----------------------------------------------------------------------------


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
    assert channels.group("c1").reason.startswith("operator Optional ")


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


def test_sizes_that_depend_on_the_data_freeze():
    body = """
        [c1] a = Conv(x, w1)
        n = NonZero(a)
        y = Cast<to=1>(n)
    """
    proto = tiny(body, outputs="float[A,B] y", w1=(4, 3, 1, 1))
    assert analyse(proto).prunable == []
    assert numpy_helper.to_array(proto.graph.initializer[0]).shape == (4, 3, 1, 1)


def test_constants_written_as_numbers_and_parts_of_a_shape_are_folded_right() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["size"], start=2),
        helper.make_node("Constant", [], ["twice"], value_ints=[2, 2]),
        helper.make_node("Mul", ["size", "twice"], ["grown"]),
        helper.make_node("Shape", ["x"], ["front"], end=2),
        helper.make_node("Concat", ["front", "grown"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest"),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Mul", ["y", "half"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "grow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 6])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 8, 12])],
    )
    opsets = [helper.make_opsetid("", 20)]
    proto = normalise(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    assert [node.op_type for node in proto.graph.node] == ["Resize", "Mul"]
    assert shapes(proto)["z"] == (1, 3, 8, 12)
    assert {v.dtype for v in initializers(proto).values()} == {np.dtype("f4"), np.dtype("i8")}
