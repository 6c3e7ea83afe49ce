"""A bench that tells latency by a rule: what takes microseconds is too noisy to plan with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from decig.device.run.timing import Latency


@dataclass(frozen=True)
class FakeBench:
    """A `decig.device.plan.bench.Bench` of functions; without `nodes` it does not learn."""

    ms: Callable[[Any], float]
    nodes: Callable[[Any], Mapping[str, float]] | None = None
    roof: Callable[[Any], dict[str, Any] | None] = lambda proto: None
    file_ms: Callable[[Any], float] = lambda proto: 0.0
    doubts: tuple[str, ...] = ()

    @property
    def learns(self) -> bool:
        return self.nodes is not None

    def rewrites(self, proto: Any) -> tuple[str, ...]:
        return ()

    def latency(self, proto: Any) -> Latency:
        us = 1000 * self.ms(proto)
        return Latency(us, 0.0, us, 20)

    def file_latency(self, written: Any, sized: Any) -> Latency:
        us = 1000 * self.file_ms(written)
        return Latency(us, 0.0, us, 20)

    def pause(self) -> None:
        """Wait for nothing: the rule does not change."""

    def node_us(self, proto: Any) -> Mapping[str, float]:
        assert self.nodes is not None
        return self.nodes(proto)

    def roofline(self, proto: Any) -> dict[str, Any] | None:
        return self.roof(proto)
