"""Files with and without external data, and what a failure leaves behind."""

import os
import stat
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from decig.device.run.device import Device
from decig.device.run.providers import find
from decig.device.run.runs import run_session
from decig.device.run.session import SessionSettings
from decig.errors import BadInputError, DecigError
from decig.graph import storage
from decig.graph.model import initializers, load_model, normalise
from decig.graph.storage import is_large, read_model, save_model
from tests.graph.tiny import parse, run
from tests.samples import generator

BODY = "[c1] a = Conv<pads=[1,1,1,1]>(x, w1, b1)\n [c2] y = Conv(a, w2)"
SHAPES = {"w1": (64, 3, 3, 3), "b1": (64,), "w2": (3, 64, 1, 1)}


@pytest.fixture
def proto() -> onnx.ModelProto:
    return parse(BODY, **SHAPES)


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as large."""
    monkeypatch.setattr(storage, "LIMIT", 2000)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_small_model_is_one_file(tmp_path: Path, proto: onnx.ModelProto):
    assert not is_large(proto)
    save_model(proto, tmp_path / "model.onnx")
    assert names(tmp_path) == ["model.onnx"]
    assert read_model(tmp_path / "model.onnx")[0] == proto


@pytest.mark.usefixtures("small_limit")
def test_a_large_model_is_a_pair_that_onnx_runtime_opens(tmp_path: Path, proto: onnx.ModelProto):
    path = tmp_path / "model.onnx"
    save_model(proto, path)
    weights = next(tmp_path.glob("model.onnx.*.data"))
    assert names(tmp_path) == ["model.onnx", weights.name]
    inside = onnx.load(path, load_external_data=False).graph.initializer
    outside = {t.name for t in inside if t.data_location == TensorProto.EXTERNAL}
    assert outside == {"w1"}, "the others are small"
    found = initializers(load_model(path).proto)
    assert all(np.array_equal(found[name], a) for name, a in initializers(proto).items())
    feeds = {"x": np.ones((1, 3, 8, 8), np.float32)}
    wanted = run(proto, feeds)[0]
    for model in (path, load_model(path).proto):
        session = Device.of().open(model)
        np.testing.assert_allclose(run_session(session, feeds)[0], wanted, rtol=1e-5)


@pytest.mark.usefixtures("small_limit")
def test_a_second_version_takes_the_place_of_the_first(tmp_path: Path, proto: onnx.ModelProto):
    path = tmp_path / "model.onnx"
    save_model(proto, path)
    first = set(names(tmp_path))
    proto.graph.initializer[0].raw_data = bytes(len(proto.graph.initializer[0].raw_data))
    save_model(proto, path)
    assert len(names(tmp_path)) == 2
    assert set(names(tmp_path)) & first == {"model.onnx"}
    assert not initializers(load_model(path).proto)["w1"].any()


def test_a_small_version_leaves_no_weights_of_a_large_one(
    tmp_path: Path, proto: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
):
    path, other = tmp_path / "model.onnx", tmp_path / "other.onnx"
    with monkeypatch.context() as patch:
        patch.setattr(storage, "LIMIT", 2000)
        save_model(proto, path)
        save_model(proto, other)
    kept = [name for name in names(tmp_path) if name.startswith("other")]
    save_model(proto, path)
    assert names(tmp_path) == ["model.onnx", *kept] and len(kept) == 2


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("fails", ["first", "second", "check"])
def test_a_failure_leaves_the_pair_that_was_there(
    tmp_path: Path,
    proto: onnx.ModelProto,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
    changed: bool,
):
    path = tmp_path / "model.onnx"
    save_model(proto, path)
    before = names(tmp_path)
    sha256 = load_model(path).sha256
    if changed:
        proto.graph.initializer[0].raw_data = bytes(len(proto.graph.initializer[0].raw_data))

    def full(*_: object, **__: object):
        raise OSError(28, "No space left on device")

    target, name = {
        "first": (Path, "open"),
        "second": (Path, "write_bytes"),
        "check": (onnx.checker, "check_model"),
    }[fails]
    with monkeypatch.context() as patch:
        patch.setattr(target, name, full)
        with pytest.raises(DecigError, match="not written: No space left on device"):
            save_model(proto, path)
    assert names(tmp_path) == before
    assert load_model(path).sha256 == sha256


@pytest.mark.usefixtures("small_limit")
def test_a_large_model_is_written_and_read_through_a_link(tmp_path: Path, proto: onnx.ModelProto):
    (tmp_path / "far").mkdir()
    link = tmp_path / "link.onnx"
    link.symlink_to(tmp_path / "far" / "model.onnx")
    save_model(proto, link)
    assert link.is_symlink()
    assert names(tmp_path) == ["far", "link.onnx"]
    for path in (link, tmp_path / "far" / "model.onnx"):
        found = initializers(load_model(path).proto)
        assert np.array_equal(found["w1"], initializers(proto)["w1"])


@pytest.mark.usefixtures("small_limit")
def test_a_large_model_does_not_go_through_a_pipe(tmp_path: Path, proto: onnx.ModelProto):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BadInputError, match="pipe: not written: the weights need a second file"):
        save_model(proto, pipe)
    assert names(tmp_path) == ["pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_weights_outside_count_in_the_digest(tmp_path: Path, proto: onnx.ModelProto):
    path = tmp_path / "model.onnx"
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(proto, path, **options)
    before = load_model(path).sha256
    assert load_model(path).sha256 == before
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[100] ^= 1
    (tmp_path / "weights.bin").write_bytes(weights)
    assert load_model(path).sha256 != before


@pytest.mark.usefixtures("small_limit")
def test_a_large_graph_is_checked(proto: onnx.ModelProto):
    assert normalise(proto).graph.node
    proto.graph.node[0].op_type = "Conw"
    with pytest.raises(BadInputError, match="Conw"):
        normalise(proto)
    proto.graph.node[0].op_type = "Conv"
    proto.graph.node[0].attribute.append(onnx.helper.make_attribute("odd", 1))
    with pytest.raises(onnx.checker.ValidationError, match="odd"):
        normalise(proto)


def test_a_file_that_onnx_runtime_optimised_for_one_processor_is_named(tmp_path: Path):
    """At its highest level it lays weights out as this processor's kernels read them."""
    weights = {"w1": (64, 32, 3, 3), "b1": (64,), "w2": (32, 64, 1, 1)}
    ends = {"inputs": "float[1,32,16,16] x", "outputs": "float[1,32,16,16] y"}
    onnx.save(parse(BODY, **ends, **weights), tmp_path / "plain.onnx")
    made = tmp_path / "optimised.onnx"
    SessionSettings(find("cpu"), {}, 1, optimised_path=made).open(tmp_path / "plain.onnx")
    domains = {node.domain for node in onnx.load(made).graph.node}
    if "com.microsoft.nchwc" not in domains:
        pytest.skip("this processor has no such kernels")
    message = r"optimised\.onnx: ONNX Runtime has optimised this file for one kind of device"
    with pytest.raises(BadInputError, match=message):
        load_model(made)


@pytest.mark.parametrize(
    ("domain", "op"),
    [
        ("com.microsoft.nchwc", "Conv"),
        ("com.ms.internal.nhwc", "Conv"),
        ("com.microsoft", "EPContext"),
    ],
)
def test_graphs_of_one_device_are_refused(domain: str, op: str):
    proto = parse(f"a = own.{op}(x)\n y = Relu(a)")
    proto.graph.node[0].domain = domain
    proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    with pytest.raises(BadInputError, match=f"operator {op} of {domain}, node .*: give the file"):
        normalise(proto)


def test_onnx_runtimes_own_format_is_named(tmp_path: Path):
    (tmp_path / "m.ort").write_bytes(b"\x14\x00\x00\x00ORTM\x0c\x00\x10\x00" + bytes(40))
    with pytest.raises(BadInputError, match=r"m\.ort: this is ONNX Runtime's own format"):
        load_model(tmp_path / "m.ort")


@pytest.mark.parametrize("place", ["../w.bin", "{above}/w.bin", "link.bin"])
def test_weights_elsewhere_than_beside_the_file_are_refused(tmp_path: Path, place: str) -> None:
    """A model of a stranger must not read any file of this machine."""
    proto, inside = generator(3, 16, 4), tmp_path / "inside"
    inside.mkdir()
    tensor = proto.graph.initializer[0]
    (tmp_path / "w.bin").write_bytes(tensor.raw_data)
    (inside / "link.bin").symlink_to(tmp_path / "w.bin")
    length = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place.format(above=tmp_path)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    (inside / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(BadInputError) as error:
        load_model(inside / "m.onnx")
    assert "\n" not in str(error.value)
