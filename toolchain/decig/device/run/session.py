"""ONNX Runtime sessions that are proven to run where they were asked to run.

ONNX Runtime only warns when a provider is missing and goes on with the CPU; a latency taken that
way belongs to another device. Here it is an error.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from decig.device.run import cuda, providers
from decig.device.run.threads import worker_threads
from decig.errors import BadInputError, DecigError, ort_reason
from decig.graph.storage import is_large, save_model

OPTIMISATION = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

_FATAL_ONLY = 4
_SHOWN = 3  # nodes in a message
_NO_FALLBACK = "fallback to CPU EP has been explicitly disabled"


@dataclass(frozen=True)
class DeviceOptions:
    """Where and how a model runs; part of every cost table's fingerprint."""

    provider: str = "cpu"
    provider_options: dict[str, str] = field(default_factory=dict)
    threads: int = 1

    @property
    def effective_options(self) -> dict[str, str]:
        """What the provider is given: the options above, and what decig sets beside them."""
        return providers.options_of(self.provider, self.provider_options, self.threads)

    @property
    def unbound(self) -> "DeviceOptions":
        """The same for runs on arrays of the host: a captured CUDA graph reads where it did."""
        kept = {k: v for k, v in self.provider_options.items() if k != providers.BOUND_ONLY}
        return replace(self, provider_options=kept)

    def require_unbound(self) -> None:
        """Check that nothing is asked for that cannot be timed from bytes to bytes.

        Raises:
            BadInputError: the option that holds for bound runs only was given.
        """
        if self.unbound != self:
            raise BadInputError(
                f"--ep-option {providers.BOUND_ONLY}: not where images come as bytes of the host; "
                f"leave it out"
            )

    @property
    def gpu(self) -> int | None:
        """Number of the GPU whose memory and clock are used; None where there is none.

        Raises:
            BadInputError: the option that names it is not a number.
        """
        if not providers.find(self.provider).gpu:
            return None
        try:
            return int(self.effective_options["device_id"])
        except ValueError as error:
            raise BadInputError("--ep-option device_id: not a number") from error


def open_session(
    model: onnx.ModelProto | bytes | str | Path,
    options: DeviceOptions,
    *,
    optimisation: str = "all",
    profile_prefix: Path | None = None,
    optimised_path: Path | None = None,
) -> ort.InferenceSession:
    """Open `model` on the provider of `options`, and only there.

    Denormals count as zero: weights that training drives towards zero would otherwise slow the
    CPU by factors.

    Args:
        model: an ONNX file, its bytes, or a ModelProto.
        options: provider, its options, and intra-op threads; nodes run one after the other.
        optimisation: "all" (what a deployment runs), "basic" or "none".
        profile_prefix: turns ONNX Runtime's profiler on; its JSON file starts with this path.
        optimised_path: where to save the graph as ONNX Runtime runs it.

    Raises:
        BadInputError: the provider is not installed, or ONNX Runtime refuses model or options.
        DecigError: nodes would run on another provider, or there is no GPU.
    """
    provider = providers.resolve(options.provider)
    providers.require_options(options.provider, options.provider_options)
    settings = _session_settings(options, optimisation)
    if not runs_on_cpu(options):
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if profile_prefix is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(profile_prefix)
    if optimised_path is not None:
        settings.optimized_model_filepath = str(optimised_path)
    what = str(model) if isinstance(model, str | Path) else "the model"
    try:
        session = _open(model, options, settings)
    except DecigError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        reason = ort_reason(error)
        if _NO_FALLBACK in reason:
            raise DecigError(f"{what}: {_why_not_all(model, options)}") from error
        raise BadInputError(f"{what}: ONNX Runtime refuses it: {reason}") from error
    _prove_provider(session, provider, what)
    return session


def _open(
    model: onnx.ModelProto | bytes | str | Path,
    options: DeviceOptions,
    settings: ort.SessionOptions,
) -> ort.InferenceSession:
    """Open a session, with whatever ONNX Runtime raises."""
    provider = (providers.resolve(options.provider), options.effective_options | _stream(options))
    with _as_source(model) as source:
        # An option that the provider refuses is no reason to take another provider.
        return ort.InferenceSession(source, settings, providers=[provider], enable_fallback=0)


def _why_not_all(model: onnx.ModelProto | bytes | str | Path, options: DeviceOptions) -> str:
    """Say which nodes a provider leaves to the CPU, or that it did not start."""
    provider = providers.resolve(options.provider)
    left: list[str] = []
    with contextlib.suppress(Exception):  # whatever stops it now: the first reason stands
        left = _left_to_cpu(_open(model, options, _session_settings(options, "all")), provider)
    if left:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        return f"{provider} cannot run {', '.join(left[:_SHOWN])}{more}; take another --ep"
    return (
        f"{provider} did not start, or cannot run all of it and part would run on the CPU; check "
        f"its --ep-option{providers.needs(options.provider)}, or take another --ep"
    )


def _left_to_cpu(session: ort.InferenceSession, provider: str) -> list[str]:
    """Operators and names of the nodes that another provider runs; none if that cannot be told."""
    assignments: list[Any] = getattr(session, "get_provider_graph_assignment_info", list)()
    if not any(part.ep_name == provider for part in assignments):
        return []  # it runs none: it did not start
    nodes = (node for part in assignments if part.ep_name != provider for node in part.get_nodes())
    return [f"{node.op_type} {node.name}" for node in nodes]


@contextlib.contextmanager
def _as_source(model: onnx.ModelProto | bytes | str | Path) -> Iterator[bytes | str]:
    """What ONNX Runtime opens: bytes, or a path; a large graph goes through a temporary file."""
    if not isinstance(model, onnx.ModelProto):
        yield model if isinstance(model, bytes) else str(model)
    elif not is_large(model):
        yield model.SerializeToString()
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            save_model(model, path)
            yield str(path)


def run_session(
    session: ort.InferenceSession,
    feeds: Mapping[str, np.ndarray],
    wanted: Sequence[str] | None = None,
) -> list[np.ndarray]:
    """Return the outputs of one run, all if not said; those in a sequence one after the other.

    Raises:
        BadInputError: ONNX Runtime opened the model but cannot run it on these inputs.
    """
    try:
        outputs = session.run(wanted, dict(feeds))
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        shown = ", ".join(f"{name} {'x'.join(map(str, x.shape))}" for name, x in feeds.items())
        reason = ort_reason(error)
        raise BadInputError(f"ONNX Runtime cannot run the model on {shown}: {reason}") from error
    parts = (out if isinstance(out, list) else [out] for out in outputs)
    return [np.asarray(part) for several in parts for part in several]


def run_over(
    proto: onnx.ModelProto,
    inputs: Sequence[Mapping[str, np.ndarray]],
    wanted: Sequence[str] | None = None,
) -> list[np.ndarray]:
    """Run a graph on a list of inputs, on the CPU.

    Args:
        proto: the graph.
        inputs: what it takes, by input name, for every run; at least one.
        wanted: names of outputs; all if not said.

    Returns:
        One array an output, those of all runs joined along the first axis.

    Raises:
        BadInputError: as `open_session` and `run_session`.
    """
    session = open_session(proto, DeviceOptions(threads=worker_threads()))
    runs = [run_session(session, feeds, wanted) for feeds in inputs]
    return [np.concatenate([np.atleast_2d(a) for a in p]) for p in zip(*runs, strict=True)]


def _stream(options: DeviceOptions) -> dict[str, str]:
    """Option that makes a GPU's provider compute in the stream that is timed."""
    clock = None if options.gpu is None else cuda.runtime(options.gpu)
    return {} if clock is None else {"user_compute_stream": str(clock.stream)}


def runs_on_cpu(options: DeviceOptions) -> bool:
    """Whether the options ask for ONNX Runtime's own CPU provider."""
    return providers.find(options.provider).short == "cpu"


def _session_settings(options: DeviceOptions, optimisation: str) -> ort.SessionOptions:
    if options.threads < 1:
        raise BadInputError(f"--threads {options.threads}: at least 1")
    settings = ort.SessionOptions()
    settings.graph_optimization_level = OPTIMISATION[optimisation]
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Whatever ONNX Runtime would print arrives as an exception too.
    settings.log_severity_level = _FATAL_ONLY
    settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Sessions are timed in turns: the threads of one must not spin on while the next one runs.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return settings


def _prove_provider(session: ort.InferenceSession, provider: str, what: str) -> None:
    """Raise DecigError unless `provider` alone runs the nodes of `session`."""
    if session.get_providers()[0] != provider:
        raise DecigError(f"{what}: runs on {session.get_providers()[0]} instead of {provider}")
    # ONNX Runtime before 1.24 cannot tell; there the disabled CPU fallback must do.
    assignments: list[Any] = getattr(session, "get_provider_graph_assignment_info", list)()
    strays = {part.ep_name for part in assignments} - {provider}
    if strays:
        raise DecigError(f"{what}: part of it runs on {', '.join(sorted(strays))}, not {provider}")
