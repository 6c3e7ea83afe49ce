"""`decig export --precision`: which lower precision is worth having on a device.

- fp16: weights and activations in half precision. Normalisations, means and softmax stay in
  float32: sums over a whole picture overflow half precision or lose its small numbers.
- int8: static quantisation with QuantizeLinear and DequantizeLinear. Layers whose rounding is most
  visible stay in float32, until the pictures are as good as the tolerance asks; in most generators
  one or two layers at the end are enough.

Both may be slower than float32: where a device has no kernels for them, ONNX Runtime converts back
and forth. So a variant is only kept if it measures faster and its pictures are good enough. Some
providers do not run a variant at all. That ends `--precision fp16` and `--precision int8`; `auto`
goes on with what is left.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.data.ports import picture_output
from decig.deploy.convert import INT8_OPSET, Quantiser, to_fp16
from decig.deploy.verify import runner
from decig.device.measure.rewriting import faster, time_graphs, timed_run
from decig.device.run.device import Device
from decig.device.run.numbers import NoNumbersError
from decig.device.run.timing import Latency
from decig.errors import BadInputError, DecigError
from decig.graph.cost import count
from decig.quality.metrics import psnr, ssim
from decig.source.plausible import require_plausible_model
from decig.source.source import Source

log = logging.getLogger(__name__)

FP32, FP16, INT8, AUTO = PRECISIONS = ("fp32", "fp16", "int8", "auto")
IMAGES = 16
"""Number of calibration images that are used, spread over the folder, or of draws. More would cost
time, as the search for layers to leave in float32 runs on all of them several times, and each has
tens of thousands of pixels."""
_WORTH = 1.05
"""How many times faster than float32 a variant must be to be worth its loss."""
_FEW = 2
"""Number of images on which layers are ranked: the first ones of `IMAGES`."""
_WORST_SSIM = -1.0
"""Stands for pictures that hold NaN or infinity: the least that SSIM can be."""
_SECOND_LOOKS = 4
"""Number of layers left in float32 that are tried in eight bits once more."""


@dataclass(frozen=True)
class Tolerance:
    """Least likeness of a variant's pictures to those of float32, as means over the images.

    Attributes:
        min_ssim: least SSIM.
        min_psnr_db: least PSNR; 32 dB is an error of 2.5 % of the range, 6 grey levels of 255.
    """

    min_ssim: float = 0.98
    min_psnr_db: float = 32.0


@dataclass(frozen=True)
class Variant:
    """A graph in one precision that was tried.

    Attributes:
        name: "fp16" or "int8".
        proto: the graph.
        ssim: of its pictures to those of float32.
        psnr_db: of its pictures to those of float32.
        latency: None where the pictures were not good enough, so that it was not timed.
        dropped: why it is not used; empty for the variant that is used.
        in_fp32: names of layers left in float32 because their rounding is visible.
    """

    name: str
    proto: onnx.ModelProto
    ssim: float
    psnr_db: float
    latency: Latency | None = None
    dropped: str = ""
    in_fp32: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return its part of the JSON object."""
        found: dict[str, Any] = {"ssim": round(self.ssim, 5), "psnr_db": round(self.psnr_db, 2)}
        if self.latency is not None:
            found["latency_ms"] = round(self.latency.median_ms, 4)
        if self.in_fp32:
            found["layers_in_fp32"] = list(self.in_fp32)
        return found | {"dropped": self.dropped or None}


@dataclass(frozen=True)
class Precision:
    """The precision that was chosen, and what was tried.

    Attributes:
        asked: "fp32", "fp16", "int8" or "auto".
        used: precision of `proto`.
        proto: the graph to deploy.
        fp32: latency of the float32 graph, timed in turns with the variants; None if no variant
            was timed.
        variants: what was tried.
        refused: why other variants could not be tried, by name: the graph cannot be converted, or
            the provider does not run it.
    """

    asked: str
    used: str
    proto: onnx.ModelProto
    fp32: Latency | None = None
    variants: tuple[Variant, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def speedup(self) -> float:
        """How many times faster `proto` is than the float32 graph, timed in turns."""
        latency = {variant.name: variant.latency for variant in self.variants}.get(self.used)
        return self.fp32.median / latency.median if self.fp32 and latency else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that is reported and stamped."""
        found: dict[str, Any] = {"asked": self.asked, "used": self.used}
        if self.fp32 is not None:
            found["fp32_latency_ms"] = round(self.fp32.median_ms, 4)
        variants: dict[str, Any] = {variant.name: variant.to_dict() for variant in self.variants}
        return found | {
            "variants": variants | {name: {"dropped": why} for name, why in self.refused.items()}
        }


def require_precision(
    asked: str, source: Source, calibration: Path | None, opset: int | None = None
) -> None:
    """Check that a precision can be tried, before anything is measured.

    Raises:
        BadInputError: it is not known, there are no images to judge it by or the model does not
            take them, its pixel format is not known or contradicted by its pictures, or the
            operator set is too old.
    """
    if asked not in PRECISIONS:
        raise BadInputError(f"--precision {asked}: not one of {', '.join(PRECISIONS)}")
    if asked != FP32 and calibration is None and source.needs_folder:
        raise BadInputError(
            f"--precision {asked} needs --calibration DIR: images like those of the deployment"
        )
    if asked in (INT8, AUTO) and opset is not None and opset < INT8_OPSET:
        raise BadInputError(f"--precision {asked} needs --opset {INT8_OPSET} or later")
    if asked != FP32:
        pictures = source.pictures(calibration, limit=IMAGES)
        source.require_picture()
        require_plausible_model(source, source.model.proto, (each.feeds for each in pictures))


def choose_precision(
    asked: str,
    rewritten: onnx.ModelProto,
    plain: onnx.ModelProto,
    source: Source,
    calibration: Path | None,
    device: Device,
    tolerance: Tolerance,
    aim: Device | None = None,
) -> Precision:
    """Try the precisions that were asked for and take the fastest that is good enough.

    Args:
        asked: one of `PRECISIONS` other than "fp32".
        rewritten: the float32 graph to deploy.
        plain: the same without rewrites that need float32.
        source: of the model; says what its pixels are.
        calibration: folder of images like those of the deployment; None where the model takes no
            image and is fed by draws.
        device: where the graph runs now: where it will run, unless `aim` is that.
        tolerance: see `Tolerance`.
        aim: the device where the graph will run, where that is another one than `device`. Nothing
            is timed then, and a precision that is good enough is used; not with "auto".

    Raises:
        BadInputError: there are no images, or the graph cannot be converted.
        DecigError: the provider does not run the graph in that precision. (With "auto", a warning
            says so of a precision, and the others are tried.)
    """
    symmetric = (aim or device).provider.symmetric_int8
    judge = _Judge(source, calibration, rewritten, device, tolerance, symmetric=symmetric)
    tried: list[Variant] = []
    refused: dict[str, str] = {}
    for name in (FP16, INT8) if asked == AUTO else (asked,):
        try:
            variant = judge(FP16, to_fp16(plain)) if name == FP16 else _int8(plain, judge)
            if not variant.dropped and aim is None:
                timed_run(variant.proto, device)()  # with options that only hold for timed runs
            tried.append(variant)
        except DecigError as error:
            if asked != AUTO:
                kind = BadInputError if isinstance(error, BadInputError) else DecigError
                raise kind(_named(name, error)) from error
            refused[name] = str(error)
            log.warning("%s is not tried: %s", name, error)
    good = {variant.name: variant.proto for variant in tried if not variant.dropped}
    times = time_graphs({FP32: rewritten} | good, device) if good and aim is None else {}
    used = asked if aim is not None and asked in good else _fastest(times)
    variants = tuple(
        replace(v, latency=times.get(v.name), dropped=v.dropped or _slower(v.name, used, times))
        for v in tried
    )
    for variant in variants:
        if asked != AUTO and variant.dropped:
            log.warning("%s is not used: %s", variant.name, variant.dropped)
    return Precision(asked, used, good.get(used, rewritten), times.get(FP32), variants, refused)


def _named(name: str, error: DecigError) -> str:
    """What an error says, beginning with the precision that it is about."""
    text = str(error)
    return text if text.startswith(name) else f"{name}: {text}"


def _fastest(times: dict[str, Latency]) -> str:
    """Name of the fastest variant that is worth its loss and faster beyond doubt; or "fp32"."""
    ahead = {
        name: t
        for name, t in times.items()
        if name != FP32 and faster(t, times[FP32]) and t.median * _WORTH < times[FP32].median
    }
    return min(ahead, key=lambda name: ahead[name].median) if ahead else FP32


def _slower(name: str, used: str, times: dict[str, Latency]) -> str:
    if name == used or name not in times:
        return ""
    ratio = times[name].median / times[used].median
    least = f"; less than {_WORTH} times faster is not worth it" if 1 / _WORTH <= ratio < 1 else ""
    return f"takes {ratio:.2f} times as long as {used}{least}"


class _Judge:
    """Compares variants with the float32 graph on the calibration images, or on draws.

    Attributes:
        symmetric: whether the device needs eight-bit values around zero.
    """

    def __init__(
        self,
        source: Source,
        folder: Path | None,
        reference: onnx.ModelProto,
        device: Device,
        tolerance: Tolerance,
        *,
        symmetric: bool,
    ) -> None:
        self._pictures = source.pictures(folder, limit=IMAGES)
        self._to_unit = source.require_pixels().to_unit
        self._device, self._tolerance = device, tolerance
        self.symmetric = symmetric
        self._shown = picture_output(source.model.proto, source.pixels)
        self._wanted = list(self._paint(reference, self.feeds()))

    def feeds(self) -> Iterator[Feeds]:
        """Yield what the model takes for each image; images are read anew at every call."""
        return (picture.feeds for picture in self._pictures)

    def _paint(self, proto: onnx.ModelProto, feeds: Iterable[Feeds]) -> Iterator[np.ndarray]:
        run = runner(proto, self._device.untimed, "all")
        return (self._to_unit(run(given)[self._shown]) for given in feeds)

    def __call__(self, name: str, proto: onnx.ModelProto, *, few: bool = False) -> Variant:
        """Compare a variant's pictures with those of float32; with `few`, on the first images."""
        wanted = self._wanted[: _FEW if few else None]
        painted = zip(wanted, self._paint(proto, self.feeds()), strict=False)
        try:
            figures = [(ssim(theirs, ours), psnr(theirs, ours)) for theirs, ours in painted]
        except NoNumbersError as error:
            return Variant(name, proto, _WORST_SSIM, 0.0, dropped=str(error))
        alike, decibels = np.mean(figures, axis=0).tolist()
        asked = self._tolerance
        reasons = [
            f"{what} {found:.4g} is under {least:g}"
            for what, found, least in (
                ("SSIM", alike, asked.min_ssim),
                ("PSNR in dB", decibels, asked.min_psnr_db),
            )
            if not found >= least
        ]
        return Variant(name, proto, alike, decibels, dropped="; ".join(reasons))


def _int8(plain: onnx.ModelProto, judge: _Judge) -> Variant:
    """Quantise as many layers as the tolerance allows.

    The errors of layers add up nearly independently. So layers stay in float32 in the order of the
    harm that each does alone, and bisection finds how many must. That order ignores what a layer
    costs, so those of them with the most work are then quantised after all where the pictures
    stay good enough. (In the order of harm per work instead, udnie took 1.14 times as long with 6
    images.)
    """
    quantiser = Quantiser(plain, judge.feeds(), symmetric=judge.symmetric)

    def attempt(in_fp32: Sequence[str]) -> Variant:
        return replace(judge(INT8, quantiser(in_fp32)), in_fp32=tuple(in_fp32))

    found = attempt(())
    if not found.dropped:
        return found
    ranked = _most_harmful_first(quantiser, judge)
    fewest = fewest_in_float32(lambda number: attempt(ranked[:number]), len(ranked) - 1)
    return found if fewest is None else give_back(fewest, attempt, count(plain).by_node)


def _most_harmful_first(quantiser: Quantiser, judge: _Judge) -> list[str]:
    def alone(layer: str) -> float:
        others = [name for name in quantiser.layers if name != layer]
        return judge(INT8, quantiser(others), few=True).ssim

    return sorted(quantiser.layers, key=alone)


def give_back(
    best: Variant, attempt: Callable[[Sequence[str]], Variant], work: Mapping[str, int]
) -> Variant:
    """Quantise layers that were left in float32, the most work first, where they need not be."""
    heaviest = sorted(best.in_fp32, key=lambda name: work.get(name, 0), reverse=True)
    for layer in heaviest[:_SECOND_LOOKS]:
        rest = [name for name in best.in_fp32 if name != layer]
        found = attempt(rest) if rest else best
        best = best if found.dropped else found
    return best


def fewest_in_float32(attempt: Callable[[int], Variant], most: int) -> Variant | None:
    """The good variant with the fewest layers in float32, from one to `most`; None if none is."""
    best, low, high = None, 1, most
    while low <= high:
        middle = (low + high) // 2
        found = attempt(middle)
        if found.dropped:
            low = middle + 1
        else:
            best, high = found, middle - 1
    return best
