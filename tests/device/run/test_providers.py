from importlib.metadata import PackageNotFoundError

import pytest

from decig.device.run import providers
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


@pytest.fixture
def installed(monkeypatch):
    """Say which packages are installed; ONNX Runtime then has the CPU provider only."""
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])

    def say(*packages):
        def version(package):
            if package not in packages:
                raise PackageNotFoundError(package)
            return "1.0"

        monkeypatch.setattr("importlib.metadata.version", version)

    return say


def test_missing_provider_prints_the_pip_line(installed):
    installed("onnxruntime")
    with pytest.raises(BadInputError, match="pip uninstall -y onnxruntime && pip install onnxrunt"):
        providers.resolve("openvino")
    with pytest.raises(BadInputError, match="no pip package has it for this machine"):
        providers.resolve("xnnpack")
    with pytest.raises(BadInputError, match="no pip package has it for this machine"):
        providers.resolve("coreml")


def test_a_package_whose_libraries_are_extras(installed):
    installed("onnxruntime")
    with pytest.raises(BadInputError, match=r"pip install 'onnxruntime-gpu\[cuda,cudnn\]'"):
        providers.resolve("cuda")
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in providers.needs("cuda")
    assert providers.needs("cpu") == ""


def test_packages_over_each_other_are_named(installed):
    installed("onnxruntime", "onnxruntime-openvino")
    with pytest.raises(BadInputError) as caught:
        providers.resolve("openvino")
    assert "onnxruntime and onnxruntime-openvino are installed over each other" in str(caught.value)
    assert (
        "pip uninstall -y onnxruntime onnxruntime-openvino && pip install onnxruntime-openvino"
        in str(caught.value)
    )


def test_the_installed_package_is_seen():
    assert providers.installed_packages()


def test_names_and_packages_are_distinct():
    names = [name for p in providers.PROVIDERS for name in (p.short, p.full)]
    assert len(set(names)) == len(names)
    assert "onnxruntime-gpu" in providers.PACKAGES


def test_options_that_decig_sets_unless_the_user_does():
    assert providers.options_of("cpu", {}, 2) == {}
    assert providers.options_of("cuda", {}, 2)["cudnn_conv_algo_search"] == "HEURISTIC"
    found = providers.options_of("openvino", {"precision": "FP16"}, 2)
    assert found == {"device_type": "CPU", "num_of_threads": "2", "precision": "FP16"}
    assert providers.options_of("openvino", {"num_of_threads": "3"}, 2)["num_of_threads"] == "3"


def test_options_for_a_provider_that_has_none():
    with pytest.raises(BadInputError, match="--ep-option arena: the execution provider 'cpu' has"):
        providers.require_options("cpu", {"arena": "1"})
    providers.require_options("openvino", {"precision": "FP16"})
