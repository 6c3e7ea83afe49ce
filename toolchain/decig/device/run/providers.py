"""Execution providers: names, packages, options, and whether this machine has them.

A new provider is one more entry of `PROVIDERS`: no other module knows a provider or an option of
one by its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

import onnxruntime as ort

from decig.errors import BadInputError


@dataclass(frozen=True)
class Provider:
    """One execution provider of ONNX Runtime.

    Attributes:
        short: the name that people type, such as "cpu".
        full: ONNX Runtime's name, such as "CPUExecutionProvider".
        package: the pip package that brings it; "" where none does.
        extras: extras of that package, which bring libraries that the machine may lack.
        opaque: whether ONNX Runtime cannot time its kernels: it compiles the graph into one node,
            or its kernels run after the profiler's clock has stopped, as those of a GPU do.
        defaults: options that decig sets unless the user does, so that every cost table names
            them. "{threads}" stands for the number of threads.
        built_in: whether it is ONNX Runtime's own provider for the processor, whose threads are
            those of the session.
        on_processor: whether it computes on the processor, so that the time that other programs
            take can be told apart.
        processor_option: option and value with which alone it computes on the processor.
        gpu_option: option with the number of the GPU in whose memory inputs and outputs stay and
            whose clock is read; "" for a provider without such a GPU.
        bound_only: options that only hold for runs whose inputs and outputs stay in one place.
        symmetric_int8: whether it has int8 kernels only for ranges around zero.
        takes_options: whether it has options at all.
    """

    short: str
    full: str
    package: str = ""
    extras: str = ""
    opaque: bool = False
    defaults: tuple[tuple[str, str], ...] = ()
    built_in: bool = False
    on_processor: bool = False
    processor_option: tuple[str, str] | None = None
    gpu_option: str = ""
    bound_only: tuple[str, ...] = ()
    symmetric_int8: bool = False
    takes_options: bool = True

    def options(self, given: Mapping[str, str], threads: int) -> dict[str, str]:
        """Options that a session gets: those that the user gave, and the defaults for the others.

        Args:
            given: the user's options by name.
            threads: number of threads of the session.

        Returns:
            All options by name, in the order of the names.
        """
        ours = {name: value.format(threads=threads) for name, value in self.defaults}
        return dict(sorted((ours | dict(given)).items()))

    def require_installed(self) -> None:
        """Check that the installed ONNX Runtime has this provider.

        Raises:
            BadInputError: it has not; the message says what to install.
        """
        available = ort.get_available_providers()
        if self.full not in available:
            raise BadInputError(
                f"execution provider {self.short!r} is not in the installed ONNX Runtime "
                f"{ort.__version__} (it has {', '.join(available)}); {self._install_hint()}"
            )

    def require_options(self, given: Mapping[str, str]) -> None:
        """Check that the user's options are not ignored; ONNX Runtime itself checks their values.

        Raises:
            BadInputError: the provider has no options, or the number of the GPU is no number.
        """
        if given and not self.takes_options:
            raise BadInputError(
                f"option {min(given)!r}: the execution provider {self.short!r} has no options"
            )
        number = given.get(self.gpu_option, "0")
        if not number.isdecimal():
            raise BadInputError(
                f"option {self.gpu_option!r} of the execution provider {self.short!r}: "
                f"{number!r} is not the number of a GPU"
            )

    @property
    def library_hint(self) -> str:
        """What an error message adds about libraries that the provider loads; "" for none."""
        if not self.extras:
            return ""
        return f" and its libraries (pip install {self._requirement} brings them)"

    def _install_hint(self) -> str:
        """The pip line; it removes packages that would overwrite the files of the new one."""
        available = installed_packages()
        if not self.package or available == [self.package]:
            return "no pip package has it for this machine: build ONNX Runtime with it"
        uninstall = " ".join(available) or _CPU_PACKAGE
        clash = ""
        if len(available) > 1:
            clash = f"{' and '.join(available)} are installed over each other: "
        return f"{clash}pip uninstall -y {uninstall} && pip install {self._requirement}"

    @property
    def _requirement(self) -> str:
        """What pip is asked for; in quotes, because shells read brackets as a pattern."""
        return self.package if not self.extras else f"'{self.package}[{self.extras}]'"


_CPU_PACKAGE = "onnxruntime"

PROVIDERS = (
    Provider(
        "cpu",
        "CPUExecutionProvider",
        _CPU_PACKAGE,
        built_in=True,
        on_processor=True,
        takes_options=False,
    ),
    Provider(
        "cuda",
        "CUDAExecutionProvider",
        "onnxruntime-gpu",
        extras="cuda,cudnn",
        opaque=True,
        # The exhaustive search would time every convolution again in each of hundreds of sessions.
        defaults=(("cudnn_conv_algo_search", "HEURISTIC"), ("device_id", "0")),
        gpu_option="device_id",
        # A captured graph reads and writes the memory that it was captured with.
        bound_only=("enable_cuda_graph",),
        symmetric_int8=True,
    ),
    Provider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "onnxruntime-gpu",
        opaque=True,
        defaults=(("device_id", "0"),),
        gpu_option="device_id",
        bound_only=("trt_cuda_graph_enable",),
        symmetric_int8=True,
    ),
    Provider(
        "openvino",
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        opaque=True,
        # It has threads of its own and would use all cores.
        defaults=(("device_type", "CPU"), ("num_of_threads", "{threads}")),
        on_processor=True,
        processor_option=("device_type", "CPU"),
    ),
    Provider("coreml", "CoreMLExecutionProvider", _CPU_PACKAGE, opaque=True),
    Provider("directml", "DmlExecutionProvider", "onnxruntime-directml", opaque=True),
    Provider("qnn", "QNNExecutionProvider", "onnxruntime-qnn", opaque=True),
    Provider("migraphx", "MIGraphXExecutionProvider", "onnxruntime-migraphx", opaque=True),
    Provider("xnnpack", "XnnpackExecutionProvider", on_processor=True),
    Provider("dnnl", "DnnlExecutionProvider", opaque=True, on_processor=True),
)

PACKAGES = tuple(dict.fromkeys(p.package for p in PROVIDERS if p.package))
"""All of these packages are one Python module: together they overwrite each other's files."""


def find(name: str) -> Provider:
    """Find a provider by its short or full name ("cpu", "CPUExecutionProvider") in any case.

    Raises:
        BadInputError: there is no such provider; the message lists the known ones.
    """
    wanted = name.strip().lower().removesuffix("executionprovider")
    for provider in PROVIDERS:
        if wanted in (provider.short, provider.full.lower().removesuffix("executionprovider")):
            return provider
    known = ", ".join(provider.short for provider in PROVIDERS)
    raise BadInputError(f"execution provider {name!r} is not known; choose one of {known}")


def installed_packages() -> list[str]:
    """Which of the packages that share the module onnxruntime are installed."""
    return [package for package in PACKAGES if _is_installed(package)]


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
