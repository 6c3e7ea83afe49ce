"""Execution providers: names, pip packages, options, conflicts, and whether this machine has them.

No other module spells a provider's name out.
"""

from dataclasses import dataclass
from importlib import metadata

import onnxruntime as ort

from decig.errors import BadInputError


@dataclass(frozen=True)
class Provider:
    """One execution provider.

    Attributes:
        short: the name on the command line.
        full: ONNX Runtime's name.
        package: the pip package that has it; "" where none has.
        extras: of that package, which bring libraries that the machine may lack.
        opaque: ONNX Runtime cannot time its kernels: it compiles the graph into one node, or they
            run after the profiler's clock has stopped, as a GPU's do.
        options: what decig sets unless the user does, so that every table says it. "{threads}"
            stands for the number of threads.
        on_cpu: it computes on the processor, so time that other programs take can be told apart.
        gpu: inputs live in a GPU's memory: they are bound there, and its own clock is read.
        symmetric_int8: has int8 kernels only for ranges around zero.
        takes_options: whether it has options at all.
    """

    short: str
    full: str
    package: str = ""
    extras: str = ""
    opaque: bool = False
    options: tuple[tuple[str, str], ...] = ()
    on_cpu: bool = False
    gpu: bool = False
    symmetric_int8: bool = False
    takes_options: bool = True


_CPU_PACKAGE = "onnxruntime"

PROVIDERS = (
    Provider("cpu", "CPUExecutionProvider", _CPU_PACKAGE, on_cpu=True, takes_options=False),
    Provider(
        "cuda",
        "CUDAExecutionProvider",
        "onnxruntime-gpu",
        extras="cuda,cudnn",
        opaque=True,
        # The exhaustive search would time every convolution anew in each of hundreds of sessions.
        options=(("cudnn_conv_algo_search", "HEURISTIC"), ("device_id", "0")),
        gpu=True,
        symmetric_int8=True,
    ),
    Provider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "onnxruntime-gpu",
        opaque=True,
        options=(("device_id", "0"),),
        gpu=True,
        symmetric_int8=True,
    ),
    Provider(
        "openvino",
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        opaque=True,
        on_cpu=True,
        # It has threads of its own and would take all cores.
        options=(("device_type", "CPU"), ("num_of_threads", "{threads}")),
    ),
    Provider("coreml", "CoreMLExecutionProvider", _CPU_PACKAGE, opaque=True),
    Provider("directml", "DmlExecutionProvider", "onnxruntime-directml", opaque=True),
    Provider("qnn", "QNNExecutionProvider", "onnxruntime-qnn", opaque=True),
    Provider("migraphx", "MIGraphXExecutionProvider", "onnxruntime-migraphx", opaque=True),
    Provider("xnnpack", "XnnpackExecutionProvider", on_cpu=True),
    Provider("dnnl", "DnnlExecutionProvider", opaque=True, on_cpu=True),
)
BOUND_ONLY = "enable_cuda_graph"
"""Option of GPUs that holds for runs whose inputs and outputs stay where they are."""

PACKAGES = tuple(dict.fromkeys(p.package for p in PROVIDERS if p.package))
"""All of them are one Python module: installed together they overwrite each other's files."""


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


def options_of(name: str, given: dict[str, str], threads: int) -> dict[str, str]:
    """Options that the provider called `name` gets: the user's, and ours where those are silent."""
    ours = {key: value.format(threads=threads) for key, value in find(name).options}
    return dict(sorted((ours | given).items()))


def require_options(name: str, given: dict[str, str]) -> None:
    """Refuse options that would be ignored; wrong ones of a provider with options it refuses.

    Raises:
        BadInputError: the provider called `name` has no options.
    """
    provider = find(name)
    if given and not provider.takes_options:
        raise BadInputError(
            f"--ep-option {min(given)}: the execution provider {provider.short!r} has no options"
        )


def needs(name: str) -> str:
    """What a message adds on libraries that the provider called `name` loads; "" for none."""
    provider = find(name)
    if not provider.extras:
        return ""
    return f" and its libraries (pip install {_requirement(provider)} brings them)"


def installed_packages() -> list[str]:
    """Which of the packages that share the module onnxruntime are installed."""
    return [package for package in PACKAGES if _is_installed(package)]


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _install_hint(provider: Provider) -> str:
    """The pip line; it takes away what would overwrite the files of the package it installs."""
    available = installed_packages()
    if not provider.package or available == [provider.package]:
        return "no pip package has it for this machine: it needs an own build of ONNX Runtime"
    uninstall = " ".join(available) or _CPU_PACKAGE
    clash = ""
    if len(available) > 1:
        clash = f"{' and '.join(available)} are installed over each other: "
    return f"{clash}pip uninstall -y {uninstall} && pip install {_requirement(provider)}"


def _requirement(provider: Provider) -> str:
    """What pip is asked for; quoted, as shells take brackets for a pattern."""
    if not provider.extras:
        return provider.package
    return f"'{provider.package}[{provider.extras}]'"
