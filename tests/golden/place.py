"""Where a recording works, and how it calls decig."""

import configparser
import hashlib
import importlib
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.testing import CliRunner
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(
    0, str(ROOT / "toolchain")
)  # what is recorded is this checkout, not an installed one
FACADES = ROOT / "models" / "facades-resunet"


class CommandFailedError(Exception):
    """A decig command ended with another exit code than 0."""


@cache
def entry_point() -> click.Command:
    """The function behind the `decig` command, by the package metadata of this checkout.

    It is read from setup.cfg: what is installed beside it may be older than the code.
    """
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    scripts = config["options.entry_points"]["console_scripts"].split("\n")
    found = dict(map(str.strip, line.split("=")) for line in scripts if line.strip())
    module, function = found["decig"].split(":")
    command: click.Command = getattr(importlib.import_module(module), function)
    return command


def decig(*arguments: Any) -> str:
    """Run a decig command in this process; returns what it wrote on stdout."""
    result = CliRunner().invoke(entry_point(), [str(argument) for argument in arguments])
    if result.exit_code:
        raise CommandFailedError(result.stderr.strip() or repr(result.exception))
    return result.stdout


@dataclass(frozen=True)
class Place:
    """An empty folder, with ways to fill it with inputs."""

    folder: Path

    def label_maps(self, count: int) -> Path:
        """Copy the first few label maps of models/facades-resunet."""
        folder = self.folder / "maps"
        folder.mkdir()
        for path in _maps(count):
            (folder / path.name).write_bytes(path.read_bytes())
        return folder

    def paintings(self, count: int) -> Path:
        """Write a picture made from each of those label maps, by the same names."""
        folder = self.folder / "paintings"
        folder.mkdir()
        for path in _maps(count):
            Image.fromarray(_painted(_read(path))).save(folder / path.name)
        return folder

    def pairs(self, count: int) -> Path:
        """Write train/ and val/ with picture and label map side by side."""
        folder = self.folder / "pairs"
        for split in ("train", "val"):
            (folder / split).mkdir(parents=True)
            for path in _maps(count):
                labels = _read(path)
                both = np.concatenate([_painted(labels), labels], axis=1)
                Image.fromarray(both).save(folder / split / path.name)
        return folder

    def table_of_no_machine(self, table: Path, model: Path | None = None) -> Path:
        """Copy a cost table so that it belongs to a device that nobody has.

        decig measures on the table's own device, and one that reads this may be that device.

        Args:
            table: the table.
            model: the file that it is for, where this one was written anew; None keeps its own.
        """
        content = json.loads(table.read_text())
        content["device"]["cpu"] = "of the golden runs"
        if model is not None:
            content["model"]["sha256"] = hashlib.sha256(model.read_bytes()).hexdigest()
        path = self.folder / "table.json"
        path.write_text(json.dumps(content))
        return path


def milliseconds(table: Path) -> float:
    """Latency of the whole model by a cost table."""
    return float(json.loads(table.read_text())["latency_us"]["median"]) / 1000


def _maps(count: int) -> list[Path]:
    return sorted((FACADES / "labels" / "train").glob("*.png"))[:count]


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _painted(labels: np.ndarray) -> np.ndarray:
    """Paint a label map: other colours, soft edges, a grain that repeats. In whole numbers."""
    wide = labels[..., [1, 2, 0]].astype(np.int64)
    soft = sum(np.roll(wide, shift, axis) for shift in (-1, 0, 1, 2) for axis in (0, 1)) // 8
    height, width = np.indices(labels.shape[:2])
    grain = (7 * height + 13 * width + height * width) % 23
    return np.clip(soft * 3 // 4 + grain[..., None] + 20, 0, 255).astype(np.uint8)
