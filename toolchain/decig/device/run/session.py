"""Opening ONNX Runtime sessions that are proven to run where they were asked to run.

ONNX Runtime only warns when a provider is missing and goes on with the CPU; a latency taken that
way belongs to another device. Here it is an error.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

from decig.device.run.providers import Provider
from decig.errors import BadInputError, DecigError, ort_reason
from decig.graph.storage import is_large, save_model

Graph = onnx.ModelProto | bytes | str | Path
"""A graph, the bytes of an ONNX file, or the file's path."""

OPTIMISATION = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
"""How much ONNX Runtime optimises; a deployment runs with "all"."""

_FATAL_ONLY = 4
_SHOWN = 3  # nodes that a message names
_NO_FALLBACK = "fallback to CPU EP has been explicitly disabled"


@dataclass(frozen=True)
class SessionSettings:
    """How a session is opened.

    Attributes:
        provider: the execution provider, which must run every node.
        options: all options of the provider.
        threads: threads within an operator; operators run one after the other.
        optimisation: a key of `OPTIMISATION`.
        profile_prefix: turns ONNX Runtime's profiler on; the path of its JSON file starts so.
        optimised_path: where to save the graph as ONNX Runtime runs it.
    """

    provider: Provider
    options: Mapping[str, str]
    threads: int
    optimisation: str = "all"
    profile_prefix: Path | None = None
    optimised_path: Path | None = None

    def open(self, graph: Graph) -> ort.InferenceSession:
        """Open a graph.

        Raises:
            BadInputError: ONNX Runtime refuses the graph or the provider's options.
            DecigError: nodes would run on another provider.
        """
        options = self._ort_options()
        if not self.provider.built_in:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if self.profile_prefix is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(self.profile_prefix)
        if self.optimised_path is not None:
            options.optimized_model_filepath = str(self.optimised_path)
        what = str(graph) if isinstance(graph, str | Path) else "the model"
        try:
            session = self._start(graph, options)
        except DecigError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            reason = ort_reason(error)
            if _NO_FALLBACK in reason:
                raise DecigError(f"{what}: {self._why_not_all(graph)}") from error
            raise BadInputError(f"{what}: ONNX Runtime refuses it: {reason}") from error
        _require_provider(session, self.provider.full, what)
        return session

    def _ort_options(self) -> ort.SessionOptions:
        """Settings that all sessions have.

        Denormals count as zero: weights that training drives towards zero would otherwise make
        the CPU several times slower.
        """
        options = ort.SessionOptions()
        options.graph_optimization_level = OPTIMISATION[self.optimisation]
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Whatever ONNX Runtime would print arrives as an exception too.
        options.log_severity_level = _FATAL_ONLY
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        # Sessions are timed in turns: the threads of one must not spin while the next one runs.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        return options

    def _start(self, graph: Graph, options: ort.SessionOptions) -> ort.InferenceSession:
        """Open a session and pass on whatever ONNX Runtime raises."""
        provider = (self.provider.full, dict(self.options))
        with _as_source(graph) as source:
            # An option that the provider refuses is no reason to take another provider.
            return ort.InferenceSession(source, options, providers=[provider], enable_fallback=0)

    def _why_not_all(self, graph: Graph) -> str:
        """Say which nodes the provider leaves to the CPU, or that it did not start."""
        name = self.provider.full
        left: list[str] = []
        with contextlib.suppress(Exception):  # whatever stops it now, the first reason stands
            left = _left_to_others(self._start(graph, self._ort_options()), name)
        if left:
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            shown = ", ".join(left[:_SHOWN])
            return f"{name} cannot run {shown}{more}; take another execution provider"
        return (
            f"{name} did not start, or cannot run all of it and part would run on the CPU; check "
            f"its options{self.provider.library_hint}, or take another execution provider"
        )


def _left_to_others(session: ort.InferenceSession, provider: str) -> list[str]:
    """Operator and name of each node that another provider runs; none if that cannot be told."""
    assignments = _assignments(session)
    if not any(part.ep_name == provider for part in assignments):
        return []  # it runs none: it did not start
    nodes = (node for part in assignments if part.ep_name != provider for node in part.get_nodes())
    return [f"{node.op_type} {node.name}" for node in nodes]


def _require_provider(session: ort.InferenceSession, provider: str, what: str) -> None:
    """Raise DecigError unless `provider` alone runs the nodes of a session."""
    if session.get_providers()[0] != provider:
        raise DecigError(f"{what}: runs on {session.get_providers()[0]} instead of {provider}")
    strays = {part.ep_name for part in _assignments(session)} - {provider}
    if strays:
        raise DecigError(f"{what}: part of it runs on {', '.join(sorted(strays))}, not {provider}")


def _assignments(session: ort.InferenceSession) -> list[Any]:
    """Which provider runs which nodes; empty before ONNX Runtime 1.24, which cannot tell.

    There the disabled fallback to the CPU is the only proof.
    """
    found: list[Any] = getattr(session, "get_provider_graph_assignment_info", list)()
    return found


@contextlib.contextmanager
def _as_source(graph: Graph) -> Iterator[bytes | str]:
    """What ONNX Runtime opens: bytes or a path; a large graph goes through a temporary file."""
    if not isinstance(graph, onnx.ModelProto):
        yield graph if isinstance(graph, bytes) else str(graph)
    elif not is_large(graph):
        yield graph.SerializeToString()
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            save_model(graph, path)
            yield str(path)
