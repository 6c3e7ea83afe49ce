"""What the user asked `decig compress` for."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decig.data.feeds import Declared
from decig.data.pixels import PixelFormat
from decig.device.plan.target import Target
from decig.graph.model import Model
from decig.train.loop import Budget
from decig.train.settings import Settings


@dataclass(frozen=True)
class Request:
    """One compression.

    Attributes:
        model: the teacher.
        pixels: its pixel format.
        device: the model on the device of its cost table.
        images: folder of inputs; None where the model takes no image.
        targets: folder of real pictures with the same names, or None.
        output_dir: the run folder.
        target_ms: wanted latency; None lets the hinge of every group decide.
        budget: of both stages together.
        settings: see `Settings`.
        feeds: how inputs beside the image are fed.
        fold_norms: fold InstanceNorms into convolutions where the pictures allow it.
        resume: go on with the run in `output_dir`.
    """

    model: Model
    pixels: PixelFormat
    device: Target
    images: Path | None
    targets: Path | None
    output_dir: Path
    target_ms: float | None
    budget: Budget
    settings: Settings
    feeds: Declared = field(default_factory=dict)
    fold_norms: bool = False
    resume: bool = False

    def record(self) -> dict[str, Any]:
        """Return what run.json says of it."""
        return {
            "model": {"path": str(self.model.path), "sha256": self.model.sha256},
            # As it reads in the file, where tuples are lists.
            "pixels": json.loads(json.dumps(dataclasses.asdict(self.pixels))),
            "device": self.device.table.device.to_dict(),
            "images": None if self.images is None else str(self.images),
            "targets": None if self.targets is None else str(self.targets),
            "feeds": dict(self.feeds),
            "target_ms": self.target_ms,
            "fold_norms": self.fold_norms,
            "budget": dataclasses.asdict(self.budget),
            "settings": dataclasses.asdict(self.settings),
        }
