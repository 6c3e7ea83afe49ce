import pytest

from decig.device import providers
from decig.errors import BadInputError


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_any_spelling(name):
    assert providers.resolve(name) == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("tensorrt", "TensorrtExecutionProvider"),
        ("OpenVINOExecutionProvider", "OpenVINOExecutionProvider"),
        ("dml", "DmlExecutionProvider"),
        ("CoreML", "CoreMLExecutionProvider"),
    ],
)
def test_short_and_full_names(name, full):
    assert providers.find(name).full == full


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(BadInputError, match=r"'abacus' is not known.*cpu, cuda"):
        providers.resolve("abacus")


def test_missing_provider_prints_the_pip_line(monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BadInputError, match="pip uninstall -y onnxruntime && pip install onnxrunt"):
        providers.resolve("openvino")
    with pytest.raises(BadInputError, match="no pip package has it for this machine"):
        providers.resolve("xnnpack")
