"""What the user asked `decig compress` for."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from decig.data.feeds import Declared
from decig.data.pixels import PixelFormat
from decig.device.cost.table import CostTable
from decig.device.plan.reach import Measure, Profile
from decig.graph.model import Model
from decig.train.loop import Budget
from decig.train.settings import Settings


@dataclass(frozen=True)
class Request:
    """One compression.

    Attributes:
        model: the teacher.
        pixels: its pixel format.
        table: cost table of the device, made for this model.
        images: folder of inputs; None where the model takes no image.
        targets: folder of real pictures with the same names, or None.
        output_dir: the run folder.
        target_ms: wanted latency; None lets the hinge of every group decide.
        budget: of both stages together.
        settings: see `Settings`.
        feeds: how inputs beside the image are fed.
        fold_norms: fold InstanceNorms into convolutions where the pictures allow it.
        resume: go on with the run in `output_dir`.
        measure: latency in ms of a slimmer version of the model on the device, as it would be
            deployed; None where the device is not at hand, and predictions must do.
        profile: microseconds of each node in such a version, from which prediction learns; None
            where that is not at hand.
        roofline: the teacher and a slimmer version of it next to the device's limits, as the
            report has it; None where the device is not at hand or its limits are not known.
        rewrites: exact rewrites that the table's graph was measured with.
        warnings: what the report should say beside the figures.
    """

    model: Model
    pixels: PixelFormat
    table: CostTable
    images: Path | None
    targets: Path | None
    output_dir: Path
    target_ms: float | None
    budget: Budget
    settings: Settings
    feeds: Declared = field(default_factory=dict)
    fold_norms: bool = False
    resume: bool = False
    measure: Measure | None = None
    profile: Profile | None = None
    roofline: Callable[[onnx.ModelProto], dict[str, Any]] | None = None
    rewrites: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what run.json says of it."""
        return {
            "model": {"path": str(self.model.path), "sha256": self.model.sha256},
            # As it reads in the file, where tuples are lists.
            "pixels": json.loads(json.dumps(dataclasses.asdict(self.pixels))),
            "device": self.table.device,
            "images": None if self.images is None else str(self.images),
            "targets": None if self.targets is None else str(self.targets),
            "feeds": dict(self.feeds),
            "target_ms": self.target_ms,
            "fold_norms": self.fold_norms,
            "budget": dataclasses.asdict(self.budget),
            "settings": dataclasses.asdict(self.settings),
        }
