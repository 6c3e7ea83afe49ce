"""Latency and pictures of the results of a benchmark, next to the teacher's; table and sheets."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from runtimes import OnnxRuntime, Runtime

from decig.data.crops import fit
from decig.data.images import ImageFolder
from decig.data.pairs import by_stem
from decig.data.pixels import PixelFormat
from decig.data.sheet import write_sheet
from decig.device.run.device import Device
from decig.device.run.timing import Latency, Timing, measure_interleaved
from decig.graph.cost import count
from decig.graph.model import input_info, load_model
from decig.quality import metrics
from decig.quality.distributions import kernel_distance
from decig.quality.features import FeatureNetwork
from decig.quality.perceptual import feature_distance

TEACHER = "teacher"
_SHEET_ROWS = 4
_SHEET_PIXELS = 192  # cut out, not resized: a pixel grid must stay visible


@dataclass(frozen=True)
class Entry:
    """A model to judge.

    Attributes:
        target: label of the latency that was asked for, "" for the teacher.
        method: who made it.
        file: the ONNX file.
        notes: further figures for its row, such as training steps.
        seed: of its training; None where it has the usual one.
        runtime: what runs it; that of the judge if None.
    """

    target: str
    method: str
    file: Path
    notes: dict[str, Any]
    seed: int | None = None
    runtime: Runtime | None = None

    @property
    def name(self) -> str:
        """Target, method, seed and runtime."""
        seed = "" if self.seed is None else f" seed {self.seed}"
        where = "" if self.runtime is None else f" on {self.runtime.name}"
        return f"{self.target} {self.method}{seed}{where}".strip()


@dataclass(frozen=True)
class Row:
    """The figures of an entry.

    `similarity` holds those that compare its pictures with the teacher's, `real` those that compare
    them with real ones; both are empty where there is nothing to compare with. `macs` and `params`
    are None of a file that is no ONNX file. `runtime` is the name of what ran it, where the entry
    says so.
    """

    target: str
    method: str
    latency: Latency
    speedup: float
    macs: int | None
    params: int | None
    colour: float
    pixel_grid: float
    similarity: dict[str, float]
    notes: dict[str, Any]
    seed: int | None = None
    real: dict[str, float] = field(default_factory=dict)
    runtime: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        return asdict(self) | {"latency": self.latency.to_dict()}


@dataclass(frozen=True)
class Real:
    """Real pictures of what models paint.

    Attributes:
        folder: of the pictures.
        paired: whether each belongs to the input of the same name.
    """

    folder: Path
    paired: bool


class Judge:
    """Holds the held-out inputs, what the teacher makes of them, and real pictures.

    Attributes:
        photos: the inputs, uint8 N,H,W,3.
        real: the real pictures, uint8 M,H,W,3; None where there are none.
    """

    def __init__(
        self,
        teacher: Path,
        photos: Path,
        pixels: PixelFormat,
        real: Real | None = None,
        device: Device | None = None,
    ) -> None:
        """Read the pictures, fitted to the teacher's input.

        Args:
            teacher: its ONNX file.
            photos: folder of inputs.
            pixels: of the teacher, and of all that is judged.
            real: real pictures of what is painted.
            device: on which models are timed; one thread of the processor if None.

        Raises:
            BadInputError: a folder is missing or empty, or names do not match.
        """
        self._teacher, self._pixels = Entry("", TEACHER, teacher, {}), pixels
        self._runtime = OnnxRuntime(device or Device.of())
        shape = input_info(load_model(teacher).proto)[0].shape
        self._channels, size = pixels.channels_of(shape), pixels.size_of(shape)
        self._paired = real is not None and real.paired
        inputs: list[np.ndarray] = []
        found: list[np.ndarray] = []
        if real is not None and real.paired:
            for pair in by_stem(photos, real.folder, pixels.labels):
                inputs.append(pair.input)
                found.append(pair.target)
        else:
            inputs = [picture for _, picture in ImageFolder(photos, pixels.labels)]
            found = [] if real is None else [picture for _, picture in ImageFolder(real.folder)]
        self.photos = np.stack([fit(each, *size, resample=pixels.resample) for each in inputs])
        self.real = np.stack([fit(each, *size) for each in found]) if found else None
        self._network = FeatureNetwork()

    def rows(self, entries: Sequence[Entry], max_seconds: float) -> list[Row]:
        """Judge the teacher and every entry; all of them take turns in the timing.

        The teacher has a row for each runtime that entries name.
        """
        runtimes = dict.fromkeys([entry.runtime for entry in entries] or [None])
        teachers = {each: replace(self._teacher, runtime=each) for each in runtimes}
        entries = [*teachers.values(), *entries]
        latencies = self._latencies(entries, max_seconds)
        rows = []
        for entry in entries:
            print(f"judging {entry.name}", flush=True)
            pictures = self.paint(entry, self.photos)
            features = self._features(pictures)
            is_onnx = entry.file.suffix == ".onnx"
            cost = count(load_model(entry.file).proto) if is_onnx else None
            latency = latencies[entry.name]
            teacher = teachers[entry.runtime]
            rows.append(
                Row(
                    target=entry.target,
                    method=entry.method,
                    latency=latency,
                    speedup=latencies[teacher.name].median / latency.median,
                    macs=None if cost is None else cost.macs,
                    params=None if cost is None else cost.params,
                    colour=metrics.colour(pictures),
                    pixel_grid=metrics.pixel_grid(pictures),
                    similarity={} if entry is teacher else self._similarity(pictures, features),
                    notes=entry.notes,
                    seed=entry.seed,
                    real=self._distance_to_real(features),
                    runtime=None if entry.runtime is None else entry.runtime.name,
                )
            )
        return rows

    def paint(self, entry: Entry, photos: np.ndarray) -> np.ndarray:
        """Let a model paint photos: float32 N,H,W,3 between 0 and 1."""
        runtime = entry.runtime or self._runtime
        return self._pixels.to_unit(runtime.run(entry.file, [self.input(each) for each in photos]))

    def write_sheet(self, entries: Sequence[Entry], file: Path) -> None:
        """Show input, teacher, entries and what is real, from the greyest to the most colourful."""
        order = np.argsort([metrics.colour(picture[None]) for picture in self._expected])
        places = np.linspace(len(order) // 10, len(order) - 1, _SHEET_ROWS).round().astype(int)
        chosen = order[places]
        photos = self.photos[chosen]
        columns = {"input": photos / 255, TEACHER: self._expected[chosen]}
        columns |= {entry.name: self.paint(entry, photos) for entry in entries}
        if self.real is not None and self._paired:
            columns["real"] = self.real[chosen] / 255
        write_sheet({title: list(_middle(seen)) for title, seen in columns.items()}, file)

    @cached_property
    def _expected(self) -> np.ndarray:
        return self.paint(self._teacher, self.photos)

    @cached_property
    def _expected_features(self) -> np.ndarray:
        return self._features(self._expected)

    def _features(self, pictures: np.ndarray) -> np.ndarray:
        return np.stack([self._network.whole(picture) for picture in pictures])

    def input(self, photo: np.ndarray) -> np.ndarray:
        """What a model is fed for a photo uint8 H,W,3."""
        return self._pixels.to_tensor(photo[None], self._channels)

    def _latencies(self, entries: Sequence[Entry], max_seconds: float) -> dict[str, Latency]:
        load = os.getloadavg()[0]
        if load > 0.5:
            print(f"warning: load average {load:.1f}: the machine is not quiet, timings suffer")
        calls = {}
        for entry in entries:
            runtime = entry.runtime or self._runtime
            calls[entry.name] = runtime.prepare(entry.file, self.input(self.photos[0]))
        timing = Timing(min_runs=30, max_runs=300, max_seconds=max_seconds, firm=0.002)
        return measure_interleaved(calls, timing)

    def _similarity(self, pictures: np.ndarray, features: np.ndarray) -> dict[str, float]:
        kid, kid_standard_error = kernel_distance(
            features, self._expected_features, _each_with_its_own(features)
        )
        return {
            "ssim": metrics.ssim(pictures, self._expected),
            "psnr_db": metrics.psnr(pictures, self._expected),
            "edge_difference": metrics.edge_difference(pictures, self._expected),
            "feature_distance": feature_distance(self._network, pictures, self._expected),
            "kid": kid,
            "kid_standard_error": kid_standard_error,
        }

    def _distance_to_real(self, features: np.ndarray) -> dict[str, float]:
        if self._real_features is None:
            return {}
        pairs = _each_with_its_own(features) if self._paired else []
        kid, kid_standard_error = kernel_distance(features, self._real_features, pairs)
        return {"kid": kid, "kid_standard_error": kid_standard_error}

    @cached_property
    def _real_features(self) -> np.ndarray | None:
        return None if self.real is None else self._features(self.real.astype(np.float32) / 255)


def _each_with_its_own(features: np.ndarray) -> list[tuple[int, int]]:
    return [(place, place) for place in range(len(features))]


def table(rows: Sequence[Row]) -> str:
    """Lay rows out as a Markdown table."""
    head = (
        "| target | method | ms (MAD) | times faster | SSIM | PSNR dB | KID x1000 (error) | colour "
        "| edge difference | feature distance | pixel grid | GMACs | params | minutes | steps |"
    )
    lines = [head, "|" + " --- |" * (head.count("|") - 1)]
    for row in rows:
        latency, alike, notes = row.latency, row.similarity, row.notes
        figures = [
            row.target or "-",
            row.method,
            f"{latency.median_ms:.2f} ({latency.mad / 1000:.2f})",
            f"{row.speedup:.2f}",
            _figure(alike.get("ssim"), ".3f"),
            _figure(alike.get("psnr_db"), ".2f"),
            kid(alike),
            f"{row.colour:.3f}",
            _figure(alike.get("edge_difference"), ".4f"),
            _figure(alike.get("feature_distance"), ".3f"),
            f"{row.pixel_grid:.4f}",
            _figure(row.macs and row.macs / 1e9, ".3f"),
            _figure(row.params, ","),
            _figure(notes.get("minutes"), ".1f"),
            _figure(notes.get("steps"), "d"),
        ]
        lines.append("| " + " | ".join(figures) + " |")
    return "\n".join(lines)


def kid(alike: Mapping[str, float]) -> str:
    """A kernel distance times a thousand, and its standard error."""
    if "kid" not in alike:
        return "-"
    return f"{1000 * alike['kid']:.2f} ({1000 * alike['kid_standard_error']:.2f})"


def _figure(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)


def _middle(pictures: np.ndarray) -> np.ndarray:
    """Cut the middle out of pictures N,H,W,3 between 0 and 1; uint8."""
    top, left = (max(0, (side - _SHEET_PIXELS) // 2) for side in pictures.shape[1:3])
    window = pictures[:, top : top + _SHEET_PIXELS, left : left + _SHEET_PIXELS]
    return (window * 255).round().astype(np.uint8)
