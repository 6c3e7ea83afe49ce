"""`decig export`: the file to deploy: rewritten where it pays, verified, stamped."""

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import version_converter

from decig.deploy.inputs import Feeds, seeded_feeds
from decig.deploy.rewriting import Choice, choose_rewrites
from decig.deploy.stamp import stamp
from decig.deploy.verify import (
    difference_elsewhere,
    relative_difference,
    require_same,
    runner,
    tolerance_of,
    torch_runner,
)
from decig.device.fingerprint import fingerprint
from decig.device.session import DeviceOptions
from decig.errors import BadInputError
from decig.files import read_json
from decig.graph.cost import count
from decig.graph.model import infer_shapes, save_model
from decig.source import RUN_FILE, Source

log = logging.getLogger(__name__)

_IMAGES = 4


@dataclass(frozen=True)
class Exported:
    """What an export did and found; differences are shares of the output range.

    Attributes:
        choice: the rewrites, with the latency before and after.
        difference: of the file to the graph without any rewrite.
        torch_difference: of the file to the trained module; None without torch or a run.
        predicted_ms: latency that the run's cost table gave; None without a run.
        params: parameters of the file.
        macs: multiply-accumulates of the file.
    """

    choice: Choice
    difference: float
    torch_difference: float | None
    predicted_ms: float | None
    params: int
    macs: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `decig export --json`, which is also stamped into the file."""
        found: dict[str, Any] = {
            "latency_ms": {
                "plain": round(self.choice.plain.median_ms, 4),
                "exported": round(self.choice.rewritten.median_ms, 4),
            },
            "rewrites": {
                "canonical": self.choice.canonical,
                "kept": self.choice.kept,
                "dropped": self.choice.dropped,
            },
            "max_abs_diff": self.difference,
            "params": self.params,
            "macs": self.macs,
        }
        if self.torch_difference is not None:
            found["torch_max_abs_diff"] = self.torch_difference
        if self.predicted_ms is not None:
            found["predicted_latency_ms"] = self.predicted_ms
        return found


def export(
    source: Source,
    output: Path,
    device: DeviceOptions,
    *,
    precision: str = "fp32",
    opset: int | None = None,
) -> Exported:
    """Write the model that should run on the device.

    Args:
        source: a run of `decig compress`, or any model.
        output: the ONNX file.
        device: where rewrites are measured and the file must load.
        precision: "fp32".
        opset: operator set of the file; the source's if None.

    Raises:
        BadInputError: another precision, an operator set that the graph cannot have, a provider
            that is not installed.
        DecigError: the file would not compute what the source computes.
    """
    if precision != "fp32":
        raise BadInputError(f"--precision {precision}: not supported yet; use fp32")
    original = source.model.proto
    choice = choose_rewrites(original, device, any_size=source.model.axes is not None)
    final = source.model.reopen(choice.proto)
    if opset is not None:
        final = _convert(final, opset)
    feeds = _feeds(source)
    difference = max(
        relative_difference(runner(original), runner(final), feeds),
        difference_elsewhere(source.model, source.model.reopen(original), final, source.pixels),
    )
    what = f"{source.model.path}: exported and original graph"
    require_same(difference, what, tolerance_of(original))
    runner(final, device, "all")(feeds[0])  # proves that the provider alone can run it
    cost = count(choice.proto)
    exported = Exported(
        choice,
        difference,
        _torch_difference(source, final, feeds),
        _of_run(source, "report.json").get("predicted_latency_ms"),
        cost.params,
        cost.macs,
    )
    plan = _of_run(source, "plan.json") or None
    figures = {"device": fingerprint(device), "plan": plan, "figures": exported.to_dict()}
    stamp(final, source.entries() | figures)
    save_model(final, output)
    return exported


def _of_run(source: Source, name: str) -> dict[str, Any]:
    """Read one of the run's records; empty where MODEL is no run."""
    return {} if source.run is None else read_json(source.run / name, "record of a run")


def _feeds(source: Source) -> list[Feeds]:
    """A few of the run's images where they are still there, else noise."""
    folder = _of_run(source, RUN_FILE).get("images")
    if folder is not None and Path(folder).is_dir():
        pictures = source.pictures(Path(folder), limit=_IMAGES)
        return [picture.feeds for picture in pictures]
    return seeded_feeds(source.model.proto, source.pixels)


def _convert(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        return infer_shapes(version_converter.convert_version(proto, opset), lenient=True)
    except Exception as error:  # the converter raises RuntimeError and classes of its own
        reason = str(error).rpartition("failed: ")[2].partition("\n")[0]
        raise BadInputError(f"--opset {opset}: the graph cannot be converted: {reason}") from error


def _torch_difference(source: Source, final: onnx.ModelProto, feeds: list[Feeds]) -> float | None:
    """Compare the file with the trained module, where there is a run and torch to run it."""
    if source.run is None:
        return None
    if importlib.util.find_spec("torch") is None:
        log.warning("torch is not installed: the file is not compared with the trained module")
        return None
    difference = relative_difference(torch_runner(source.model.proto), runner(final), feeds)
    require_same(difference, f"{source.run}: exported graph and trained module")
    return difference
