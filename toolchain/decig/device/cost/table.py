"""Cost tables: what a model costs on a device, as a JSON file that travels between machines."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from decig.device.cost.sweep import SweepPoint
from decig.device.measure.limits import Limits
from decig.device.run.timing import Latency, non_negative
from decig.errors import BadInputError
from decig.files import read_json, write_json
from decig.graph.channels import ChannelMap, Port
from decig.graph.model import Model, input_info

SCHEMA_VERSION = 1

_LEAST_SHARE, _MOST_UNSTEADY = 0.9, 0.1

_T = TypeVar("_T")


@dataclass(frozen=True)
class NodeCost:
    """One node of the original graph.

    Attributes:
        name: node name.
        op: operator.
        latency_us: its part of the model's latency; 0 where it was fused away or folded.
        share: the same as a share of the whole.
        absorbed_by: the node that does its work too, where it was fused away.
        signature: nodes with the same signature cost the same at the same widths.
        ports: incoming and outgoing channels, None where it has none.
        macs: multiply-accumulates, with those of the nodes that it has absorbed.
        bytes: what it and those must at least move (`decig.graph.traffic`).
    """

    name: str
    op: str
    latency_us: float
    share: float
    absorbed_by: str | None
    signature: str
    ports: tuple[Port, Port] | None
    macs: int = 0
    bytes: int = 0

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
class Noise:
    """How far a table's figures can be trusted.

    Attributes:
        processor_share: of their wall time, what the runs had of the processor; well below 1 on
            a machine that was busy with other things.
        unsteadiness: by how much the machine's pace wandered during the sweep, as a share of it.
    """

    processor_share: float
    unsteadiness: float

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


@dataclass(frozen=True)
class CostTable:
    """What one model costs on one device.

    Attributes:
        device: fingerprint of the device (`decig.device.run.fingerprint`).
        model: `sha256` of the file, its `path` (file name) and `inputs` (name to shape).
        latency_us: the whole model, unprofiled.
        kernel_sum_over_latency: profiled kernel times over that latency, before calibration.
        noise: what else the machine did meanwhile; None in a table of an older decig, which did
            not look.
        groups: channels of every prunable group.
        nodes: cost of every node, calibrated so that they add up to the latency.
        sweep: the model at other widths; empty where none was taken.
        limits: what the device can do at most; None where it could not be measured.
        timed_alone: whether nodes were timed one by one, as the provider hides its kernels. Those
            of the sweep then stand as they were timed, where they were: some designs have none.
    """

    device: dict[str, Any]
    model: dict[str, Any]
    latency_us: Latency
    kernel_sum_over_latency: float
    noise: Noise | None
    groups: dict[str, int]
    nodes: list[NodeCost]
    sweep: list[SweepPoint]
    limits: Limits | None = None
    timed_alone: bool = False

    @property
    def doubts(self) -> list[str]:
        """Why its figures may be off, one line each; empty where nothing is known against them."""
        if self.noise is None:
            return [
                "the cost table is of an older decig, which did not note how busy the machine was; "
                "profile again if latencies are not as predicted"
            ]
        return [] if self.noise.trusted else [str(self.noise)]

    def save(self, path: Path) -> None:
        """Write the table as JSON, atomically."""
        write_json(path, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the file format."""
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device,
            "model": self.model,
            "latency_us": self.latency_us.to_dict(),
            "kernel_sum_over_latency": round(self.kernel_sum_over_latency, 4),
            **({} if self.noise is None else {"noise": self.noise.to_dict()}),
            "groups": self.groups,
            **({} if self.limits is None else {"limits": self.limits.to_dict()}),
            **({"timed_alone": True} if self.timed_alone else {}),
            "nodes": [node.to_dict() for node in self.nodes],
            "sweep": [_point_to_dict(point) for point in self.sweep],
        }

    @classmethod
    def load(cls, path: Path) -> "CostTable":
        """Read a table.

        Raises:
            BadInputError: no readable table of this schema version; names the file and key.
        """
        value = read_json(path, "cost table")
        if value.get("schema_version") != SCHEMA_VERSION:
            raise BadInputError(
                f"{path}: 'schema_version' is not {SCHEMA_VERSION}; profile the model again"
            )
        root = _Reader(value, f"{path}: ")
        model = root.child("model")
        model.text("sha256")
        if "inputs" in model.value:
            model.mapping("inputs")
        return cls(
            device=root.mapping("device"),
            model=model.value,
            latency_us=Latency.from_dict(root.mapping("latency_us"), f"{path}: latency_us"),
            kernel_sum_over_latency=root.number("kernel_sum_over_latency"),
            noise=_read_noise(root.child("noise")) if "noise" in value else None,
            groups=root.counts("groups"),
            nodes=root.rows("nodes", _read_node),
            sweep=root.rows("sweep", _read_point),
            limits=Limits.read(value, f"{path}: "),
            timed_alone=root.flag("timed_alone"),
        )

    def require_same_graph(self, sha256: str) -> None:
        """Check that the table was taken of the model with this digest.

        Raises:
            BadInputError: it was taken of another one.
        """
        if self.model["sha256"] != sha256:
            raise BadInputError(
                f"the cost table was made for another model ({self.model.get('path', 'unnamed')}, "
                f"sha256 {self.model['sha256'][:12]}, not {sha256[:12]}); profile this one"
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
        taken = self.model.get("inputs", {})
        for value in input_info(model.proto):
            then = taken.get(value.name, value.shape)
            if then != value.shape:
                shown = ",".join(map(str, then))
                raise BadInputError(
                    f"the cost table was taken at another size of {value.name}: "
                    f"give --input-shape {value.name}:{shown}, or profile again"
                )
        here = {group.name: group.channels for group in channels.prunable}
        if other := sorted(dict(self.groups.items() ^ here.items())):
            there, now = (groups.get(other[0], 0) for groups in (self.groups, here))
            raise BadInputError(
                f"the cost table is of another version of decig, which saw other channel groups "
                f"({other[0]}: {there} channels there, {now} here); profile {model.path} again"
            )


@dataclass(frozen=True)
class _Reader:
    """A JSON object and where it stands, for messages that name file and key."""

    value: dict[str, Any]
    where: str

    def mapping(self, key: str) -> dict[str, Any]:
        found = self.value.get(key)
        if not isinstance(found, dict):
            raise BadInputError(f"{self.where}{key}: not an object")
        return found

    def child(self, key: str) -> "_Reader":
        return _Reader(self.mapping(key), f"{self.where}{key}.")

    def text(self, key: str) -> str:
        found = self.value.get(key)
        if not isinstance(found, str):
            raise BadInputError(f"{self.where}{key}: not a text")
        return found

    def number(self, key: str) -> float:
        return non_negative(self.value.get(key), f"{self.where}{key}")

    def flag(self, key: str) -> bool:
        found = self.value.get(key, False)
        if not isinstance(found, bool):
            raise BadInputError(f"{self.where}{key}: not true or false")
        return found

    def counts(self, key: str) -> dict[str, int]:
        found = self.mapping(key)
        return {k: int(non_negative(v, f"{self.where}{key}.{k}")) for k, v in found.items()}

    def numbers(self, key: str) -> dict[str, float]:
        found = self.mapping(key)
        return {k: non_negative(v, f"{self.where}{key}.{k}") for k, v in found.items()}

    def rows(self, key: str, read: Callable[["_Reader"], _T]) -> list[_T]:
        found = self.value.get(key)
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise BadInputError(f"{self.where}{key}: not a list of objects")
        return [read(_Reader(row, f"{self.where}{key}[{i}].")) for i, row in enumerate(found)]


def _read_noise(noise: _Reader) -> Noise:
    return Noise(noise.number("processor_share"), noise.number("unsteadiness"))


def _read_node(row: _Reader) -> NodeCost:
    ports = None
    if "ports" in row.value:
        read = row.rows("ports", lambda p: Port(p.counts("groups"), int(p.number("fixed"))))
        if len(read) != 2:
            raise BadInputError(f"{row.where}ports: not an incoming and an outgoing one")
        ports = (read[0], read[1])
    return NodeCost(
        name=row.text("name"),
        op=row.text("op"),
        latency_us=row.number("latency_us"),
        share=row.number("share"),
        absorbed_by=row.text("absorbed_by") if "absorbed_by" in row.value else None,
        signature=row.text("signature"),
        ports=ports,
        macs=int(row.number("macs")) if "macs" in row.value else 0,
        bytes=int(row.number("bytes")) if "bytes" in row.value else 0,
    )


def _read_point(row: _Reader) -> SweepPoint:
    latency = Latency.from_dict(row.mapping("latency_us"), f"{row.where}latency_us")
    return SweepPoint(
        row.counts("widths"),
        latency,
        row.numbers("nodes"),
    )


def _point_to_dict(point: SweepPoint) -> dict[str, Any]:
    return {
        "widths": point.widths,
        "latency_us": point.latency.to_dict(),
        "nodes": {name: round(us, 1) for name, us in point.nodes.items()},
    }
