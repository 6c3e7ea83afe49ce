"""What is no generator at all: every command ends in a result or in one clear line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from decig.device.measure import rewriting
from decig.device.run.timing import Timing
from tests.graph.damage import damaged
from tests.graph.tiny import parse
from tests.samples import PIXELS, decig, generator, write_generator, write_photos

SEQUENCE = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [4]))
FLOAT = helper.make_tensor_type_proto(TensorProto.FLOAT, [4])
STRING = helper.make_tensor_type_proto(TensorProto.STRING, [4])


def of_types(source: onnx.TypeProto, result: onnx.TypeProto, op_type: str, **more: object):
    """Model of one node whose input and output have these types."""
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], ["y"], **more)],
        "odd",
        [helper.make_value_info("x", source)],
        [helper.make_value_info("y", result)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def sparse() -> onnx.ModelProto:
    proto = parse("y = Add(x, k)", k=(8,))
    values = numpy_helper.from_array(np.ones(1, np.float32), "k")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "k_places")
    del proto.graph.initializer[:]
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [8]))
    return proto


def without_opsets() -> onnx.ModelProto:
    proto = parse("y = Relu(x)")
    del proto.opset_import[:]
    return proto


def in_two_domains() -> onnx.ModelProto:
    proto = generator()
    proto.graph.node[0].domain = "somebody.else"
    proto.opset_import.append(helper.make_opsetid("somebody.else", 1))
    return proto


def at_opset(version: int) -> onnx.ModelProto:
    proto = generator()
    proto.opset_import[0].version = version
    return proto


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "classifier": lambda: parse(
        "a = Conv(x, w)\n b = GlobalAveragePool(a)\n c = Flatten(b)\n y = Gemm(c, v)",
        outputs="float[1,5] y",
        w=(8, 3, 3, 3),
        v=(8, 5),
    ),
    "transformer": lambda: parse(
        "e = Gather(t, x)\n q = MatMul(e, w)\n k = Transpose<perm=[0,2,1]>(q)\n"
        "s = MatMul(q, k)\n a = Softmax(s)\n y = MatMul(a, e)",
        inputs="int64[1,5] x",
        outputs="float[A,B,C] y",
        t=(9, 8),
        w=(8, 6),
    ),
    "loop": lambda: parse(
        "a = Conv(x, w)\n y = Loop(n, go, a) <body = g (int64 i, bool c, float[1,4,8,8] s) =>"
        " (bool d, float[1,4,8,8] t) { d = Identity(c)  t = Relu(s) }>",
        w=(4, 3, 1, 1),
        n=np.int64(3),
        go=np.array(True),
    ),
    "scan": lambda: parse(
        "y = Scan(x) <num_scan_inputs = 1, body = g (float[3,8,8] s) => (float[3,8,8] t)"
        " { t = Relu(s) }>"
    ),
    "if": lambda: parse(
        "y = If(flag) <then_branch = t () => (float[N,C,H,W] a) { a = Relu(x) },"
        " else_branch = e () => (float[N,C,H,W] b) { b = Neg(x) }>",
        inputs="float[1,3,8,8] x, bool flag",
    ),
    "detector": lambda: parse(
        "a = Conv(x, w)\n b = NonZero(a)\n y = Cast<to=1>(b)",
        outputs="float[A,B] y",
        w=(4, 3, 1, 1),
    ),
    "sequence input": lambda: of_types(SEQUENCE, FLOAT, "ConcatFromSequence", axis=0),
    "sequence output": lambda: of_types(FLOAT, SEQUENCE, "SequenceConstruct"),
    "strings": lambda: of_types(STRING, STRING, "Identity"),
    "optional": lambda: of_types(
        helper.make_optional_type_proto(FLOAT), FLOAT, "OptionalGetElement"
    ),
    "no input": lambda: parse("y = RandomNormal<shape=[1,3,8,8]>()", inputs=""),
    "only constants": lambda: parse("y = Relu(k)", inputs="", k=(1, 3, 8, 8)),
    "output is the input": lambda: parse("z = Relu(x)", outputs="float[1,3,8,8] x"),
    "output is a constant": lambda: parse("z = Relu(x)", outputs="float[3] k", k=(3,)),
    "no output": lambda: parse("y = Relu(x)", outputs=""),
    "empty tensors": lambda: parse("y = Relu(x)", inputs="float[1,0,8,8] x"),
    "scalar input": lambda: parse("y = Relu(x)", inputs="float x", outputs="float y"),
    "dynamic": lambda: parse("y = Relu(x)", inputs="float[N,C,H,W] x"),
    "quantised": lambda: parse(
        "q = QuantizeLinear(x, s, z)\n y = DequantizeLinear(q, s, z)",
        s=np.float32(0.1),
        z=np.uint8(3),
    ),
    "complex": lambda: parse("y = Identity(x)", inputs="complex64[4] x", outputs="complex64[4] y"),
    "sparse": sparse,
    "no opset": without_opsets,
    "future opset": lambda: at_opset(99),
    "enormous opset": lambda: at_opset(2**40),
    "negative opset": lambda: at_opset(-3),
    "foreign domain": in_two_domains,
    "no nodes": lambda: parse("", outputs="float[1,3,8,8] x"),
    "a circle": lambda: parse("y = Add(x, z)\n z = Relu(y)"),
}
COMMANDS = {
    "inspect": ("inspect", "{model}", "--json"),
    "table": ("inspect", "{model}"),
    "slice": ("slice", "{model}", "-o", "{out}", "--keep", 0.5, "--verify"),
    "repair": ("slice", "{model}", "-o", "{out}", "--keep", 0.5, "--repair", "{photos}", *PIXELS),
    "profile": ("profile", "{model}", "-o", "{out}"),
    "export": ("export", "{model}", "-o", "{out}"),
    "check": ("check", "{model}", "--reference", "{other}", "--data", "{photos}", *PIXELS),
    "reference": ("check", "{other}", "--reference", "{model}", "--data", "{photos}", *PIXELS),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    write_generator(folder / "other.onnx", size=12)
    write_photos(folder / "photos", 1)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewriting, "COMPARISON", Timing(max_seconds=0.01))


def answer(folder: Path, content: bytes, command: str) -> str:
    """Run a command on a file; "" for a result, else the one line that it ends in."""
    (folder / "model.onnx").write_bytes(content)
    out = folder / "out.onnx"
    out.unlink(missing_ok=True)
    names = {"model": "model.onnx", "out": "out.onnx", "photos": "photos", "other": "other.onnx"}
    paths = {what: folder / name for what, name in names.items()}
    result = decig(*(str(part).format(**paths) for part in COMMANDS[command]))
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("decig: ")]
    assert len(lines) == (result.exit_code != 0), result.stderr
    assert result.exit_code in (0, 1, 2, 3)
    if result.exit_code and "{out}" in COMMANDS[command]:
        assert not out.exists()
    return "".join(lines)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", MODELS)
def test_every_command_answers(kind: str, command: str, folder: Path):
    answer(folder, MODELS[kind]().SerializeToString(), command)


@pytest.mark.parametrize("seed", range(48))
def test_a_damaged_graph_gets_an_answer(seed: int, folder: Path):
    content, _ = damaged(generator(size=12), seed)
    answer(folder, content, list(COMMANDS)[seed % len(COMMANDS)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["espcn_x3", "mobil_highstyle", "sed_unet", "fns_candy_nc16"])
def test_damaged_generators_get_answers(name: str, folder: Path, shared_suite: Path):
    proto = onnx.load(shared_suite / f"{name}.onnx")
    for seed in range(200):
        content, what = damaged(proto, seed)
        try:
            answer(folder, content, ("table", "slice")[seed % 2])
        except AssertionError as error:
            raise AssertionError(f"seed {seed} ({what}): {error}") from error
