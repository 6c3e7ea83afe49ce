"""Slimmer versions of a model, measured on this machine as they would be deployed."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import onnx

from decig.device.cost.deployed import rewrites_of
from decig.device.cost.table import CostTable
from decig.device.measure.nodes import measure_nodes
from decig.device.measure.pace import latency_at_pace
from decig.device.measure.rewriting import timed_run
from decig.device.measure.roofline import compare, measure_roofline, roofline_of
from decig.device.run.fingerprint import difference, fingerprint
from decig.device.run.providers import find
from decig.device.run.runs import QuietRun
from decig.device.run.session import DeviceOptions
from decig.errors import BadInputError
from decig.graph import rewrite
from decig.graph.model import Model

_TRIAL: dict[str, Any] = {"min_runs": 4, "max_runs": 30, "max_seconds": 0.5, "firm": 0.005}


class Bench(Protocol):
    """Measures slimmer versions of one model on one device.

    Attributes:
        learns: whether `node_us` may be asked, so that prediction can learn from a measured plan.
    """

    @property
    def learns(self) -> bool:
        """Whether `node_us` may be asked."""
        ...

    def latency_ms(self, proto: onnx.ModelProto) -> float:
        """Milliseconds that a sliced graph takes as it would be deployed."""
        ...

    def node_us(self, proto: onnx.ModelProto) -> Mapping[str, float]:
        """Microseconds of each original node in a sliced graph, at any pace of the machine.

        Empty where the provider hides its kernels and only whole graphs can be timed.
        """
        ...

    def roofline(self, proto: onnx.ModelProto) -> dict[str, Any] | None:
        """Model and sliced graph next to the limits of the device; None without known limits."""
        ...


class DeployedBench:
    """Applies the exact rewrites of a cost table to sliced graphs and measures them here."""

    def __init__(self, table: CostTable, model: Model) -> None:
        """Prepare; nothing is measured yet.

        Args:
            table: taken of the model on this machine (`elsewhere` gives None).
            model: the whole model.

        Raises:
            BadInputError: the table's list of rewrites is damaged.
        """
        self._table, self._model = table, model
        self._device, self._rules = options_of(table), rewrites_of(table)
        # Sessions take time to open, and a plan by shares needs none.
        self._whole = cache(self._open_whole)

    @property
    def learns(self) -> bool:
        """Whether the table's nodes were measured by the method that `node_us` uses."""
        return self._table.timed_alone or not self._opaque

    def latency_ms(self, proto: onnx.ModelProto) -> float:
        """Milliseconds of a sliced graph, timed between runs of the whole model.

        Whatever else the machine does slows both, so the result holds at the table's pace.
        """
        slim = timed_run(self._deployed(proto), self._device)
        return latency_at_pace(slim, self._whole(), self._table.latency_us.median).median_ms

    def node_us(self, proto: onnx.ModelProto) -> dict[str, float]:
        """Microseconds of each original node; empty where the provider hides its kernels.

        Layers timed one by one, as the table's were there, would take too long for every plan.
        """
        if self._opaque:
            return {}
        original = [node.name for node in self._model.proto.graph.node]
        return measure_nodes(self._deployed(proto), original, self._device, **_TRIAL).nodes

    def roofline(self, proto: onnx.ModelProto) -> dict[str, Any] | None:
        """Both graphs under the roof of the device (`decig.device.measure.roofline.compare`)."""
        whole = roofline_of(self._table)
        if whole is None:
            return None
        slim = self._deployed(proto)
        return compare(whole, measure_roofline(proto, slim, self._device, whole.limits))

    @property
    def _opaque(self) -> bool:
        return find(self._device.provider).opaque

    def _deployed(self, proto: onnx.ModelProto) -> onnx.ModelProto:
        return rewrite.apply(proto, self._rules)[0]

    def _open_whole(self) -> QuietRun:
        return timed_run(self._deployed(self._model.proto), self._device)


def options_of(table: CostTable) -> DeviceOptions:
    """How the table's device ran models.

    Raises:
        BadInputError: the table's entry is missing or damaged.
    """
    kinds = {"provider": str, "provider_options": dict, "threads": int}
    for key, kind in kinds.items():
        if not isinstance(table.device.get(key), kind):
            raise BadInputError(f"cost table: device: {key} is missing or damaged")
    return DeviceOptions(*(table.device[key] for key in kinds))


def elsewhere(table: CostTable) -> str | None:
    """What sets the table's device apart from this one; None if it is this one.

    Raises:
        BadInputError: the table's description of its device is damaged.
    """
    options = options_of(table)
    try:
        return difference(fingerprint(options), table.device)
    except BadInputError as error:  # its provider is not installed here
        return str(error)
