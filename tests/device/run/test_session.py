import numpy as np
import onnx
import pytest

from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.errors import BadInputError, DecigError
from tests.device.graphs import style_net


def test_settings_of_a_session():
    session = Device.of(threads=2).open(style_net())
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
        session = Device.of().open(model, optimisation="basic")
        feeds = feeds or random_feeds(session)
        outputs.append(session.run(None, feeds)[0])
    assert all(np.array_equal(outputs[0], other) for other in outputs)


def test_saves_the_optimised_graph(tmp_path):
    Device.of().open(style_net(), optimised_path=tmp_path / "o.onnx")
    assert onnx.load(tmp_path / "o.onnx").graph.node


@pytest.mark.parametrize("content", [b"", b"not a model", style_net().SerializeToString()[:2000]])
def test_refused_models_are_one_line(tmp_path, content, capfd):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        Device.of().open(path)
    assert str(caught.value).startswith(f"{path}: ONNX Runtime refuses it: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_provider_that_would_leave_work_to_the_cpu(monkeypatch):
    def refuse(*_, **given):
        assert given["enable_fallback"] == 0
        raise RuntimeError(
            "nodes ... but fallback to CPU EP has been explicitly disabled by the user"
        )

    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    with pytest.raises(DecigError, match="did not start, or cannot run all of it"):
        Device.of().open(style_net())


def assigned(provider: str, *nodes: tuple[str, str]):
    """What ONNX Runtime says of one part of a graph."""
    made = [type("Node", (), {"op_type": op, "name": name}) for op, name in nodes]
    return type("Part", (), {"ep_name": provider, "get_nodes": lambda: made})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            [assigned("CPUExecutionProvider", ("Conv", "a")), assigned("Other", ("Loop", "b"))],
            r"cannot run Loop b; take another execution provider",
        ),
        (
            [
                assigned("CPUExecutionProvider", ("Conv", "a")),
                assigned("Other", *(("Loop", str(i)) for i in range(5))),
            ],
            r"cannot run Loop 0, Loop 1, Loop 2 and 2 more; take",
        ),
        ([assigned("Other", ("Conv", "a"))], "did not start, or cannot run all"),
    ],
)
def test_nodes_that_a_provider_leaves_to_another_are_named(monkeypatch, parts, message):
    class Session:
        def __init__(self, *_, **__):
            opened.append(self)
            if len(opened) == 1:
                raise RuntimeError("fallback to CPU EP has been explicitly disabled by the user")

        def get_provider_graph_assignment_info(self):
            return parts

    opened = []
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    with pytest.raises(DecigError, match=message):
        Device.of().open(style_net())


def test_running_elsewhere_is_an_error(monkeypatch):
    monkeypatch.setattr(
        "onnxruntime.InferenceSession.get_providers", lambda self: ["OtherExecutionProvider"]
    )
    with pytest.raises(DecigError, match="runs on OtherExecutionProvider instead of CPU"):
        Device.of().open(style_net())
