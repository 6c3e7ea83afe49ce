"""Execution providers: their names, their pip packages, and whether this machine has them.

No other module spells a provider's name out.
"""

from dataclasses import dataclass

import onnxruntime as ort

from decig.errors import BadInputError


@dataclass(frozen=True)
class Provider:
    """One execution provider: its short name, ONNX Runtime's name, and who ships it."""

    short: str
    full: str
    package: str


PROVIDERS = tuple(
    Provider(short, f"{stem}ExecutionProvider", package)
    for short, stem, package in (
        ("cpu", "CPU", "onnxruntime"),
        ("cuda", "CUDA", "onnxruntime-gpu"),
        ("tensorrt", "Tensorrt", "onnxruntime-gpu"),
        ("openvino", "OpenVINO", "onnxruntime-openvino"),
        ("coreml", "CoreML", "onnxruntime"),
        ("dml", "Dml", "onnxruntime-directml"),
        ("qnn", "QNN", "onnxruntime-qnn"),
        ("migraphx", "MIGraphX", "onnxruntime-migraphx"),
        ("xnnpack", "Xnnpack", "onnxruntime"),
        ("dnnl", "Dnnl", "onnxruntime"),
    )
)


def find(name: str) -> Provider:
    """The provider called `name`: short ("cpu") or full ("CPUExecutionProvider"), any case.

    Raises:
        BadInputError: no such provider.
    """
    wanted = name.strip().lower().removesuffix("executionprovider")
    for provider in PROVIDERS:
        if wanted in (provider.short, provider.full.lower().removesuffix("executionprovider")):
            return provider
    known = ", ".join(provider.short for provider in PROVIDERS)
    raise BadInputError(f"execution provider {name!r} is not known; choose one of {known}")


def resolve(name: str) -> str:
    """ONNX Runtime's name of the provider called `name`, which must be installed here.

    Raises:
        BadInputError: unknown, or not in the installed ONNX Runtime; says what to install.
    """
    provider = find(name)
    available = ort.get_available_providers()
    if provider.full in available:
        return provider.full
    raise BadInputError(
        f"execution provider {provider.short!r} is not in the installed ONNX Runtime "
        f"{ort.__version__} (it has {', '.join(available)}); {_install_hint(provider)}"
    )


def _install_hint(provider: Provider) -> str:
    """The pip line; every onnxruntime build is the same Python module, so one replaces another."""
    if provider.package == "onnxruntime":
        return "no pip package has it for this machine: it needs an own build of ONNX Runtime"
    return f"pip uninstall -y onnxruntime && pip install {provider.package}"
