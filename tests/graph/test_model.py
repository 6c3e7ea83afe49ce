"""Loading: the normal form, and what is no usable model, told in one line."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper

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
)
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from tests.graph.tiny import parse, run, tiny

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


def test_metadata_and_opsets_are_kept():
    proto = parse("y = Relu(x)", opset=13)
    proto.metadata_props.add(key="author", value="somebody")
    found = normalise(proto)
    assert found.metadata_props == proto.metadata_props
    assert found.opset_import == proto.opset_import


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
    refusal = one_line(path, input_shapes={"x": [1, 4, 8, 8]})
    assert "does not fit together with --input-shape x:1,4,8,8: Add" in refusal


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
    proto = parse("[unit] y = GRUUnit(x)", opset=7)
    path.write_bytes(proto.SerializeToString())
    assert one_line(path) == (
        "operator GRUUnit (node 'unit') is not in ONNX opset 7: "
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
