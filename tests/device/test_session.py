import numpy as np
import onnx
import pytest

from decig.device.session import DeviceOptions, open_session, random_feeds
from decig.errors import BadInputError, DecigError

from .graphs import style_net


def test_settings_of_a_session():
    session = open_session(style_net(), DeviceOptions(threads=2))
    settings = session.get_session_options()
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert settings.intra_op_num_threads == 2
    assert settings.inter_op_num_threads == 1
    assert settings.get_session_config_entry("session.set_denormal_as_zero") == "1"


def test_from_path_bytes_and_proto(tmp_path):
    proto = style_net()
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    feeds = None
    outputs = []
    for model in (path, str(path), path.read_bytes(), proto):
        session = open_session(model, DeviceOptions(), optimisation="basic")
        feeds = feeds or random_feeds(session)
        outputs.append(session.run(None, feeds)[0])
    assert all(np.array_equal(outputs[0], other) for other in outputs)


def test_saves_the_optimised_graph(tmp_path):
    open_session(style_net(), DeviceOptions(), optimised_path=tmp_path / "o.onnx")
    assert onnx.load(tmp_path / "o.onnx").graph.node


@pytest.mark.parametrize("content", [b"", b"not a model", style_net().SerializeToString()[:2000]])
def test_refused_models_are_one_line(tmp_path, content, capfd):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        open_session(path, DeviceOptions())
    assert str(caught.value).startswith(f"{path}: ONNX Runtime refuses it: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_refused_options():
    with pytest.raises(BadInputError, match="'rocket' is not known"):
        open_session(style_net(), DeviceOptions("rocket"))
    with pytest.raises(BadInputError, match="--threads 0"):
        open_session(style_net(), DeviceOptions(threads=0))


def test_options_that_would_be_ignored():
    with pytest.raises(BadInputError, match=r"--ep-option fast: .*'cpu' has no options"):
        open_session(style_net(), DeviceOptions(provider_options={"fast": "1"}))


def test_a_provider_that_would_leave_work_to_the_cpu(monkeypatch):
    def refuse(*_, **given):
        assert given["enable_fallback"] == 0
        raise RuntimeError(
            "nodes ... but fallback to CPU EP has been explicitly disabled by the user"
        )

    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    with pytest.raises(DecigError, match="did not start, or cannot run all of it"):
        open_session(style_net(), DeviceOptions())


def test_running_elsewhere_is_an_error(monkeypatch):
    monkeypatch.setattr("decig.device.providers.resolve", lambda name: "CPUExecutionProvider")
    monkeypatch.setattr(
        "onnxruntime.InferenceSession.get_providers", lambda self: ["OtherExecutionProvider"]
    )
    with pytest.raises(DecigError, match="runs on OtherExecutionProvider instead of CPU"):
        open_session(style_net(), DeviceOptions())


def test_feeds_need_static_shapes():
    proto = style_net()
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    session = open_session(proto, DeviceOptions())
    with pytest.raises(BadInputError, match="--input-shape x:"):
        random_feeds(session)


def test_feeds_are_reproducible():
    session = open_session(style_net(), DeviceOptions())
    one, two = random_feeds(session), random_feeds(session)
    assert np.array_equal(one["x"], two["x"])
    assert one["x"].dtype == np.float32
