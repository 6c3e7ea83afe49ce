"""What `decig export` did and found, for people, for JSON and for the stamp of the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx

from decig.deploy.precision import Precision
from decig.device.measure.rewriting import Choice
from decig.device.run.timing import Latency
from decig.graph.cost import count


@dataclass(frozen=True)
class Size:
    """How large a graph is.

    Attributes:
        nodes: number of its nodes.
        params: its parameters.
        macs: its multiply-accumulates.
        file_bytes: bytes of a file that holds it.
    """

    nodes: int
    params: int
    macs: int
    file_bytes: int

    @classmethod
    def of(cls, proto: onnx.ModelProto) -> "Size":
        """Measure a graph."""
        cost = count(proto)
        return cls(len(proto.graph.node), cost.params, cost.macs, proto.ByteSize())


@dataclass(frozen=True)
class Exported:
    """What an export did and found; differences are shares of the output range.

    Attributes:
        choice: the rewrites.
        precision: the precision used, and what was tried.
        difference: of the float32 graph to the source without any rewrite.
        torch_difference: of the float32 graph to the trained module; None where there is no
            PyTorch or no run.
        predicted_ms: latency that the run's cost table predicted; None where there is no run.
        original_ms: latency of the model that a run was made from, by its cost table; None where
            there is no run, or it was for no device.
        before: size of the source, without any rewrite.
        after: size of the file.
        latency: of the file ("exported") and of the model without rewrites in its own precision
            ("plain", missing where the provider does not run it), as they are written, timed in
            turns; empty where nothing was measured.
        warnings: what its figures do not say, one line each: that nothing was measured, or that
            the images of the run are gone.
        from_bytes: latency from the bytes of an image to those of the picture, with pre- and
            postprocessing outside and inside the graph; None where the file takes no bytes.
    """

    choice: Choice
    precision: Precision
    difference: float
    torch_difference: float | None
    predicted_ms: float | None
    before: Size
    after: Size
    latency: Mapping[str, Latency] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    from_bytes: dict[str, Latency] | None = None
    original_ms: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `decig export --json`, which is also stamped into the file."""
        found: dict[str, Any] = {
            "rewrites": {
                "canonical": self.choice.canonical,
                "kept": self.choice.kept,
                "dropped": self.choice.dropped,
            },
            "precision": self.precision.to_dict(),
            "max_abs_diff": self.difference,
            "params": self.after.params,
            "macs": self.after.macs,
            "macs_before": self.before.macs,
            "nodes": {"before": self.before.nodes, "after": self.after.nodes},
            "file_bytes": {"before": self.before.file_bytes, "after": self.after.file_bytes},
        }
        if self.latency:
            found["latency_ms"] = {
                name: round(latency.median_ms, 4) for name, latency in self.latency.items()
            }
        if self.warnings:
            found["warnings"] = list(self.warnings)
        if self.torch_difference is not None:
            found["torch_max_abs_diff"] = self.torch_difference
        if self.predicted_ms is not None:
            found["predicted_latency_ms"] = self.predicted_ms
        if self.from_bytes is not None:
            found["bytes_to_bytes_ms"] = {
                name: round(latency.median_ms, 4) for name, latency in self.from_bytes.items()
            }
        return found
