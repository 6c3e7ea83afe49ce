"""Cost tables: what a model costs on a device, as a JSON file that travels between machines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decig.device.measure.limits import Limits
from decig.device.measure.roofline import Roofline, Work
from decig.device.run.fingerprint import Fingerprint
from decig.device.run.timing import Latency
from decig.errors import BadInputError
from decig.files import json_bytes, json_text, write_bytes
from decig.graph.channels import ChannelMap, Port
from decig.graph.cost import count
from decig.graph.model import Model, input_info
from decig.schema import Count, NotNegative, convert, read_json

SCHEMA_VERSION = 1

Widths = Mapping[str, int]
"""Channels that are kept of each group, by the group's name."""

_LEAST_SHARE, _MOST_UNSTEADY = 0.9, 0.1
"""Least share of the processor, and most unsteadiness, at which a table is trusted."""


@dataclass(frozen=True)
class ProfiledModel:
    """The model of a cost table.

    Attributes:
        sha256: digest of the graph.
        path: name of its file; None in a table that does not say.
        inputs: shape of each input by name; None in a table of an older decig.
        rewrites: names of the exact rewrites with which the graph was measured; None where it was
            measured as it is.
        as_it_is_latency_us: latency of the model without rewrites; None where there were none.
    """

    sha256: str
    path: str | None = None
    inputs: Mapping[str, tuple[int, ...]] | None = None
    rewrites: tuple[str, ...] | None = None
    as_it_is_latency_us: Latency | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the file format."""
        as_it_is = self.as_it_is_latency_us
        value = {
            "sha256": self.sha256,
            "path": self.path,
            "inputs": self.inputs,
            "rewrites": self.rewrites,
            "as_it_is_latency_us": None if as_it_is is None else as_it_is.to_dict(),
        }
        return {key: each for key, each in value.items() if each is not None}


@dataclass(frozen=True)
class NodeCost:
    """One node of the original graph.

    Attributes:
        name: name of the node.
        op: its operator.
        latency_us: microseconds of the model's latency that the node takes; 0 where it was fused
            into another one or folded.
        share: the same as a share of the model's latency.
        signature: nodes with the same signature cost the same at the same widths.
        absorbed_by: the node that does its work too, where it was fused into that one.
        ports: incoming and outgoing channels; None where the node has none.
        macs: multiply-accumulates of the node and of those that it has absorbed.
        bytes: bytes that it and those must at least move (`decig.graph.traffic`).
    """

    name: str
    op: str
    latency_us: NotNegative
    share: NotNegative
    signature: str
    absorbed_by: str | None = None
    ports: tuple[Port, Port] | None = None
    macs: Count = 0
    bytes: Count = 0

    def __post_init__(self) -> None:
        """Check the ports, which come from files too; ValueError for a negative width."""
        for port in self.ports or ():
            if min(port.fixed, *port.groups.values(), 0) < 0:
                raise ValueError("ports: fewer than 0 channels")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the file format."""
        value: dict[str, Any] = {
            "name": self.name,
            "op": self.op,
            "latency_us": round(self.latency_us, 1),
            "share": round(self.share, 5),
            "signature": self.signature,
            "macs": self.macs,
            "bytes": self.bytes,
        }
        if self.absorbed_by is not None:
            value["absorbed_by"] = self.absorbed_by
        if self.ports is not None:
            value["ports"] = [{"fixed": p.fixed, "groups": p.groups} for p in self.ports]
        return value


@dataclass(frozen=True)
class SweepPoint:
    """The model as measured at one design of widths.

    Attributes:
        widths: channels kept of each group.
        latency_us: whole runs, without the time that other programs took.
        nodes: microseconds of each original node; empty where only the whole graph was timed.
    """

    widths: Widths
    latency_us: Latency
    nodes: Mapping[str, NotNegative]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the file format."""
        return {
            "widths": self.widths,
            "latency_us": self.latency_us.to_dict(),
            "nodes": {name: round(us, 1) for name, us in self.nodes.items()},
        }


@dataclass(frozen=True)
class Noise:
    """How far a table's figures can be trusted.

    Attributes:
        processor_share: share of their time on the clock for which the runs had the processor;
            well below 1 on a machine that was busy with other programs.
        unsteadiness: by how much the machine's pace wandered during the sweep, as a share of it.
    """

    processor_share: NotNegative
    unsteadiness: NotNegative

    @property
    def trusted(self) -> bool:
        """Whether the machine was quiet enough."""
        return self.processor_share >= _LEAST_SHARE and self.unsteadiness <= _MOST_UNSTEADY

    def __str__(self) -> str:
        """Say what was noticed."""
        noticed = []
        if self.processor_share < _LEAST_SHARE:
            had = f"{self.processor_share:.0%} of the processor time it could use"
            noticed.append(f"busy (the model had {had})")
        if self.unsteadiness > _MOST_UNSTEADY:
            noticed.append(f"unsteady (its pace wandered by {self.unsteadiness:.0%})")
        how = " and ".join(noticed) or "quiet"
        return f"the machine was {how} while the cost table was taken"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the file format."""
        return {
            "processor_share": round(self.processor_share, 3),
            "unsteadiness": round(self.unsteadiness, 4),
            "trusted": self.trusted,
        }


@dataclass(frozen=True, kw_only=True)
class CostTable:
    """What one model costs on one device.

    Attributes:
        device: the device.
        model: the model.
        latency_us: latency of the whole model, without the profiler.
        kernel_sum_over_latency: profiled times of all kernels over that latency, before the nodes
            were calibrated to add up to it.
        noise: what else the machine did meanwhile; None in a table of an older decig, which did
            not look.
        groups: channels of every group that can be cut, by name.
        nodes: cost of every node, calibrated so that they add up to the latency.
        sweep: the model at other widths; empty where none were measured.
        limits: what the device can do at most; None where it could not be measured.
        timed_alone: whether nodes were timed one by one, because the provider hides its kernels.
            The sweep's nodes are then as they were timed, not calibrated, and some designs have
            none.
    """

    device: Fingerprint
    model: ProfiledModel
    latency_us: Latency
    kernel_sum_over_latency: NotNegative
    noise: Noise | None = None
    groups: Mapping[str, Count]
    nodes: tuple[NodeCost, ...]
    sweep: tuple[SweepPoint, ...]
    limits: Limits | None = None
    timed_alone: bool = False

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why its figures may be off, one line each; empty where nothing is known against them."""
        if self.noise is None:
            return (
                "the cost table is of an older decig, which did not note how busy the machine was; "
                "profile again if latencies are not as predicted",
            )
        return () if self.noise.trusted else (str(self.noise),)

    @property
    def rewrites(self) -> tuple[str, ...]:
        """Names of the exact rewrites with which the graph was measured."""
        return self.model.rewrites or ()

    @property
    def as_it_is_ms(self) -> float:
        """Milliseconds of the model without any rewrite: what a speed-up is counted from."""
        return (self.model.as_it_is_latency_us or self.latency_us).median_ms

    @property
    def roofline(self) -> Roofline | None:
        """The model under the roof of the device; None for a table without limits."""
        if self.limits is None:
            return None
        works = {node.name: Work(node.macs, node.bytes) for node in self.nodes}
        nodes = [(node.name, node.op, node.latency_us) for node in self.nodes]
        return Roofline.of(self.limits, nodes, works)

    def save(self, path: Path) -> None:
        """Write the table as JSON, atomically."""
        write_bytes(path, self.content)

    @property
    def content(self) -> bytes:
        """What its file holds."""
        return json_bytes(self.to_dict())

    def as_written(self) -> "CostTable":
        """Return the table with the numbers that its file holds, which are rounded.

        Whoever works on with a table that was just taken must find what a later reader finds.
        """
        return convert(json.loads(json_text(self.to_dict())), CostTable, "cost table")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the file format."""
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device.to_dict(),
            "model": self.model.to_dict(),
            "latency_us": self.latency_us.to_dict(),
            "kernel_sum_over_latency": round(self.kernel_sum_over_latency, 4),
            **({} if self.noise is None else {"noise": self.noise.to_dict()}),
            "groups": self.groups,
            **({} if self.limits is None else {"limits": self.limits.to_dict()}),
            **({"timed_alone": True} if self.timed_alone else {}),
            "nodes": [node.to_dict() for node in self.nodes],
            "sweep": [point.to_dict() for point in self.sweep],
        }

    @classmethod
    def load(cls, path: Path) -> "CostTable":
        """Read a table.

        Raises:
            BadInputError: no readable table of this schema version; names the file and the key.
        """
        value = read_json(path, dict[str, Any], "cost table")
        if value.get("schema_version") != SCHEMA_VERSION:
            raise BadInputError(
                f"{path}: 'schema_version' is not {SCHEMA_VERSION}; profile the model again"
            )
        return convert(value, cls, str(path))

    def require_same_graph(self, sha256: str) -> None:
        """Check that the table was taken of the model with this digest.

        Raises:
            BadInputError: it was taken of another one.
        """
        if self.model.sha256 != sha256:
            raise BadInputError(
                f"the cost table was made for another model ({self.model.path or 'unnamed'}, "
                f"sha256 {self.model.sha256[:12]}, not {sha256[:12]}); profile this one"
            )

    def require_same_model(self, model: Model, channels: ChannelMap) -> None:
        """Check that the table was taken of this model, at the size it is read at now.

        Args:
            model: the model.
            channels: its groups, which another version of decig may have found differently.

        Raises:
            BadInputError: it was taken of another one, at another size of its dynamic axes, or of
                other groups.
        """
        self.require_same_graph(model.sha256)
        self._require_same_sizes(model)
        self._require_same_groups(model, channels)

    def require_same_structure(self, model: Model, channels: ChannelMap) -> None:
        """Check that the table holds for this model, whatever its weights are.

        What a model costs does not depend on the numbers in it, so that a table taken with random
        weights serves a model that is not trained yet.

        Args:
            model: the model.
            channels: its groups.

        Raises:
            BadInputError: the table was taken of a model with other nodes, channels, kernels or
                sizes.
        """
        here = [(node.name, node.op_type) for node in model.proto.graph.node]
        taken = [(node.name, node.op) for node in self.nodes]
        macs = sum(node.macs for node in self.nodes)  # 0 in a table of an older decig
        if here != taken or (macs and macs != count(model.proto).macs):
            raise BadInputError(
                f"the cost table was made for another model ({self.model.path or 'unnamed'}), "
                f"not for one built as {model.path}; profile this one"
            )
        self._require_same_sizes(model)
        self._require_same_groups(model, channels)

    def _require_same_sizes(self, model: Model) -> None:
        taken = self.model.inputs or {}
        for value in input_info(model.proto):
            then = taken.get(value.name)
            if then is not None and then != tuple(value.shape):
                shown = ",".join(map(str, then))
                raise BadInputError(
                    f"the cost table was taken at another size of {value.name}: "
                    f"give --input-shape {value.name}:{shown}, or profile again"
                )

    def _require_same_groups(self, model: Model, channels: ChannelMap) -> None:
        here = {group.name: group.channels for group in channels.prunable}
        if other := sorted(dict(self.groups.items() ^ here.items())):
            there, now = (groups.get(other[0], 0) for groups in (self.groups, here))
            raise BadInputError(
                f"the cost table is of another version of decig, which saw other channel groups "
                f"({other[0]}: {there} channels there, {now} here); profile {model.path} again"
            )
