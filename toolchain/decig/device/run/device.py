"""A device: an execution provider with its options, and the threads that it runs on."""

import logging
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from decig.device.run import cuda
from decig.device.run.cores import available_cores
from decig.device.run.fingerprint import Fingerprint, cpu_model
from decig.device.run.providers import Provider, find
from decig.device.run.runs import UndisturbedRun, run_all, run_session
from decig.device.run.session import Graph, SessionSettings
from decig.device.run.threads import worker_threads
from decig.device.run.timing import Call, time_once, time_with_processor_share
from decig.errors import BadInputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Device:
    """Where and how models run. Make one with `Device.of`, which checks everything first.

    Attributes:
        provider: the execution provider.
        given: options of the provider that the user gave, by name.
        threads: threads within an operator; operators run one after the other.
    """

    provider: Provider
    given: Mapping[str, str] = field(default_factory=dict, hash=False)
    threads: int = 1

    @classmethod
    def of(
        cls, name: str = "cpu", options: Mapping[str, str] | None = None, threads: int = 1
    ) -> "Device":
        """Find a provider by its name and check that it can run here as asked.

        A warning says where there are more threads than cores.

        Args:
            name: short or full name of the execution provider, in any case.
            options: options of the provider, by name.
            threads: threads within an operator.

        Raises:
            BadInputError: the provider is not known or not installed, has no such options, or
                there is no thread to run on.
        """
        provider = find(name)
        provider.require_installed()
        given = dict(options or {})
        provider.require_options(given)
        if threads < 1:
            raise BadInputError(f"{threads} threads: give at least 1")
        if threads > (cores := available_cores()):
            log.warning(
                "%d threads on %d cores that this process may use: threads that wait for each "
                "other make latencies several times longer",
                threads,
                cores,
            )
        return cls(provider, given, threads)

    @classmethod
    def for_work(cls) -> "Device":
        """This machine's processor for runs that nobody times, on as many threads as they may use.

        A latency belongs to a number of threads; scores, pictures and proofs do not.
        """
        return cls.of(threads=worker_threads())

    @classmethod
    def described_by(cls, fingerprint: Fingerprint) -> "Device":
        """Make the device that a fingerprint describes, whether or not this machine has it.

        Raises:
            BadInputError: its provider is not known.
        """
        provider = find(fingerprint.provider)
        return cls(provider, dict(fingerprint.provider_options), fingerprint.threads)

    @classmethod
    def elsewhere(cls, fingerprint: Fingerprint) -> str | None:
        """What sets the device of a fingerprint apart from all of this machine; None if it is here.

        Args:
            fingerprint: of the device of a cost table, or of a run.
        """
        try:
            device = cls.described_by(fingerprint)
            device.provider.require_installed()
            return device.fingerprint().difference(fingerprint)
        except BadInputError as error:
            return str(error)

    @property
    def options(self) -> dict[str, str]:
        """All options that the provider gets: the user's, and defaults for the others."""
        return self.provider.options(self.given, self.threads)

    @property
    def opaque(self) -> bool:
        """Whether only whole graphs can be timed, because the provider hides its kernels."""
        return self.provider.opaque

    @property
    def is_cpu(self) -> bool:
        """Whether it is ONNX Runtime's own provider for the processor."""
        return self.provider.built_in

    @property
    def on_processor(self) -> bool:
        """Whether it computes on the processor of this machine."""
        choice = self.provider.processor_option
        chosen = choice is None or self.options.get(choice[0]) == choice[1]
        return self.provider.on_processor and chosen

    @property
    def gpu(self) -> int | None:
        """Number of the GPU whose memory and clock are used; None where there is none."""
        name = self.provider.gpu_option
        return int(self.options[name]) if name else None

    @property
    def clock(self) -> cuda.CudaRuntime | None:
        """Clock of the GPU, which times runs there; None where the host's clock does."""
        return None if self.gpu is None else cuda.runtime(self.gpu)

    @property
    def unbound(self) -> "Device":
        """The same device for runs on arrays of the host: without options for bound runs only."""
        kept = {k: v for k, v in self.given.items() if k not in self.provider.bound_only}
        return replace(self, given=kept)

    @property
    def untimed(self) -> "Device":
        """The same device for runs on images that nobody times: with all threads they may use."""
        unbound = self.unbound
        return replace(unbound, threads=worker_threads()) if self.on_processor else unbound

    def require_unbound(self) -> None:
        """Check that no option stands in the way of runs on arrays of the host.

        Raises:
            BadInputError: an option was given that only holds for runs whose inputs and outputs
                stay in the memory of the GPU.
        """
        if wrong := self.given.keys() - self.unbound.given.keys():
            raise BadInputError(
                f"option {min(wrong)!r} of the execution provider {self.provider.short!r}: not "
                f"where images come as bytes from the host; leave it out"
            )

    def open(
        self,
        graph: Graph,
        *,
        optimisation: str = "all",
        profile_prefix: Path | None = None,
        optimised_path: Path | None = None,
    ) -> ort.InferenceSession:
        """Open a graph on this device, and nowhere else.

        Args:
            graph: an ONNX file, its bytes, or a ModelProto.
            optimisation: "all" (what a deployment runs), "basic" or "none".
            profile_prefix: turns ONNX Runtime's profiler on; the path of its JSON file starts so.
            optimised_path: where to save the graph as ONNX Runtime runs it.

        Raises:
            BadInputError: ONNX Runtime refuses the graph or the provider's options.
            DecigError: nodes would run on another provider, or there is no GPU.
        """
        clock = self.clock
        # The provider must compute in the stream whose events are timed.
        stream = {} if clock is None else {"user_compute_stream": str(clock.stream)}
        return SessionSettings(
            self.provider,
            self.options | stream,
            self.threads,
            optimisation,
            profile_prefix,
            optimised_path,
        ).open(graph)

    def prepare(self, session: ort.InferenceSession, feeds: Mapping[str, np.ndarray]) -> Call:
        """Make a call that runs a session for timing: on a GPU without copies to and from it.

        Args:
            session: opened on this device.
            feeds: inputs by name.
        """
        if self.gpu is None:
            return partial(run_session, session, dict(feeds))
        return cuda.BoundRun(session, feeds, self.gpu, self.clock)

    def observe(self, run: Call) -> tuple[float, float]:
        """Run once; return the microseconds, and for which share of them it had the processor.

        The share is 1 where it cannot be told: away from the processor, or on threads that sleep
        while they wait for each other.
        """
        if self.is_cpu:
            return time_with_processor_share(run, self.threads)
        if self.on_processor and self.threads == 1:
            return time_with_processor_share(run, 1, own_thread=False)
        return time_once(run), 1.0

    @property
    def tells_disturbance(self) -> bool:
        """Whether the share of the processor that a run had says how long it takes undisturbed.

        It does on one thread. Of several, some wait for the others, asleep or not, whatever else
        the machine does.
        """
        return self.threads == 1

    def undisturbed(self, run: Call) -> UndisturbedRun:
        """Make a run whose time leaves out what other programs took, where that can be told.

        On one thread of the processor it can; elsewhere the time of the clock stands.
        """
        if self.tells_disturbance:
            return UndisturbedRun(run, self.observe)
        return UndisturbedRun(run, lambda call: (time_once(call), 1.0))

    def run_over(
        self,
        graph: onnx.ModelProto,
        inputs: Sequence[Mapping[str, np.ndarray]],
        wanted: Sequence[str] | None = None,
    ) -> list[np.ndarray]:
        """Run a graph on a list of inputs.

        Args:
            graph: the graph.
            inputs: inputs by name for every run; at least one run.
            wanted: names of outputs; None for all.

        Returns:
            One array for each output: those of all runs joined along the first axis.

        Raises:
            BadInputError: as for `open`, or ONNX Runtime cannot run the graph on an input.
        """
        return run_all(self.open(graph), inputs, wanted)

    def fingerprint(self) -> Fingerprint:
        """Describe this machine and how the device runs models on it."""
        return Fingerprint(
            machine=platform.node(),
            architecture=platform.machine(),
            cpu=cpu_model(),
            cores=os.cpu_count() or 1,
            system=platform.platform(),
            onnxruntime=ort.__version__,
            provider=self.provider.full,
            accelerator=None if self.gpu is None else cuda.gpu_name(self.gpu),
            provider_options=self.options,
            threads=self.threads,
            denormals="zero",
            optimisation="all",
        )
