"""What the user asked `decig compress` for."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from decig.data.pixels import PixelFormat
from decig.device.table import CostTable
from decig.graph.model import Model
from decig.train.loop import Budget
from decig.train.settings import Settings

Progress = Callable[[str, float, dict[str, float]], None]
"""Told a step's name, its progress from 0 to 1 and its latest figures."""


@dataclass(frozen=True)
class Request:
    """One compression.

    Attributes:
        model: the teacher.
        pixels: its pixel format.
        table: cost table of the device, made for this model.
        images: folder of inputs.
        targets: folder of real pictures with the same names, or None.
        output_dir: the run folder.
        target_ms: wanted latency; None lets the hinge of every group decide.
        budget: of both stages together.
        settings: see `Settings`.
        label_maps: inputs are label maps, never blended.
        fold_norms: fold InstanceNorms into convolutions where the pictures allow it.
        resume: go on with the run in `output_dir`.
        measure: latency in ms of a slimmer version of the model on the device, as it would be
            deployed; None where the device is not at hand, and predictions must do.
        warnings: what the report should say beside the figures.
    """

    model: Model
    pixels: PixelFormat
    table: CostTable
    images: Path
    targets: Path | None
    output_dir: Path
    target_ms: float | None
    budget: Budget
    settings: Settings
    label_maps: bool = False
    fold_norms: bool = False
    resume: bool = False
    measure: Callable[[onnx.ModelProto], float] | None = None
    warnings: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what run.json says of it."""
        pixels = dataclasses.asdict(self.pixels)
        return {
            "model": {"path": str(self.model.path), "sha256": self.model.sha256},
            "pixels": {k: list(v) if isinstance(v, tuple) else v for k, v in pixels.items()},
            "device": self.table.device,
            "images": str(self.images),
            "targets": None if self.targets is None else str(self.targets),
            "label_maps": self.label_maps,
            "target_ms": self.target_ms,
            "fold_norms": self.fold_norms,
            "budget": dataclasses.asdict(self.budget),
            "settings": dataclasses.asdict(self.settings),
        }
