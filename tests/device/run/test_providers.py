from importlib.metadata import PackageNotFoundError

import pytest

from decig.device.run import providers
from decig.errors import BadInputError


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_any_spelling(name):
    found = providers.find(name)
    assert found.full == "CPUExecutionProvider"
    found.require_installed()


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
        providers.find("abacus")


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
        providers.find("openvino").require_installed()
    with pytest.raises(BadInputError, match="no pip package has it for this machine"):
        providers.find("xnnpack").require_installed()
    with pytest.raises(BadInputError, match="no pip package has it for this machine"):
        providers.find("coreml").require_installed()


def test_a_package_whose_libraries_are_extras(installed):
    installed("onnxruntime")
    with pytest.raises(BadInputError, match=r"pip install 'onnxruntime-gpu\[cuda,cudnn\]'"):
        providers.find("cuda").require_installed()
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in providers.find("cuda").library_hint
    assert providers.find("cpu").library_hint == ""


def test_packages_over_each_other_are_named(installed):
    installed("onnxruntime", "onnxruntime-openvino")
    with pytest.raises(BadInputError) as caught:
        providers.find("openvino").require_installed()
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
    assert providers.find("cpu").options({}, 2) == {}
    assert providers.find("cuda").options({}, 2)["cudnn_conv_algo_search"] == "HEURISTIC"
    found = providers.find("openvino").options({"precision": "FP16"}, 2)
    assert found == {"device_type": "CPU", "num_of_threads": "2", "precision": "FP16"}
    assert providers.find("openvino").options({"num_of_threads": "3"}, 2)["num_of_threads"] == "3"


def test_options_for_a_provider_that_has_none():
    with pytest.raises(BadInputError, match="option 'arena': the execution provider 'cpu' has no"):
        providers.find("cpu").require_options({"arena": "1"})
    providers.find("openvino").require_options({"precision": "FP16"})


@pytest.mark.parametrize("number", ["first", "-1", "1.5", ""])
def test_a_gpu_is_named_by_its_number(number):
    with pytest.raises(BadInputError, match=rf"option 'device_id' .* '{number}' is not the number"):
        providers.find("cuda").require_options({"device_id": number})
    providers.find("cuda").require_options({"device_id": "1"})
    providers.find("openvino").require_options({"device_id": number})
