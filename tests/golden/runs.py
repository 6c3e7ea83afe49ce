"""Recordings of training runs: the loss of every backward pass, and what comes of them."""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import graphs
import onnx
from place import FACADES, ROOT, Place, decig, milliseconds
from small import write_small_generator

STEPS = 30
"""Of every run; each is one or, with a discriminator, two backward passes."""

SMALL_CROPS = ((64, 1, 20), (96, 1, 10))
REAL_CROPS = ((128, 1, 20), (256, 1, 10))
SMALL_TABLE = Path(__file__).parent / "small_table.json"
_SPEEDUP = 3
_RGB = ("--channel-order", "rgb", "--layout", "nchw")
_UNIT = ("--input-range", "0,1", "--output-range", "0,1", *_RGB)


def train(
    place: Place,
    size: int,
    stages: Sequence[tuple[int, int, int]],
    precision: str,
    rate: float = 2e-4,
) -> dict[str, Any]:
    """`decig train` by the recipe of models/facades-resunet, but for these.

    Args:
        place: where to work.
        size: height and width of the model's input.
        stages: crop, batch and steps of each.
        precision: "fp32" or "bf16".
        rate: learning rate. Adam's first steps follow the sign of every gradient, however small:
            with a low rate, other kernels, whose rounding chooses other signs, stay close.
    """
    text = (FACADES / "recipe.toml").read_text().split("[[train.stages]]")[0]
    text = re.sub(r"(?m)^precision = .*$", f'precision = "{precision}"', text)
    text = re.sub(r"(?m)^learning_rate = .*$", f"learning_rate = {rate}", text)
    text = text.replace("[1, 3, 256, 256]", f"[1, 3, {size}, {size}]")
    for crop, batch, steps in stages:
        text += f"[[train.stages]]\ncrop = {crop}\nbatch = {batch}\nsteps = {steps}\n"
    recipe = place.folder / "recipe"
    recipe.mkdir()
    (recipe / "recipe.toml").write_text(text)
    (recipe / "generator.py").write_bytes((FACADES / "generator.py").read_bytes())
    run = place.folder / "run"
    with losses() as seen:
        decig("train", recipe, "--data", place.pairs(4), "--output-dir", run)
    return {"losses": _by_pass(seen, 2), **graphs.digests(onnx.load(run / "generator.onnx"))}


def compress_small(place: Place, **options: Any) -> dict[str, Any]:
    """`decig compress` of a small generator with a table that tells latency by work."""
    model = write_small_generator(place.folder / "small.onnx")
    table = place.table_of_no_machine(SMALL_TABLE, model)
    images = place.paintings(6)
    if options.pop("targets", False):
        options["targets"] = place.label_maps(6)
        # A discriminator, too, is close under other kernels only if it does not learn too fast.
        options["settings"] = {"crop": 48, "batch": 2, "learning_rate": 5e-4}
    return _compress(place, model, table, images, _UNIT, 32, **options)


def compress_facades(place: Place, **options: Any) -> dict[str, Any]:
    """`decig compress` of models/facades-resunet at its own size."""
    table = place.table_of_no_machine(ROOT / "profiles" / "epyc-cpu-1.json")
    images = place.label_maps(16)
    if options.pop("targets", False):
        options["targets"] = place.paintings(16)
    return _compress(place, FACADES, table, images, (), 256, **options)


def compress_udnie(place: Place, file: Path, table: Path, **options: Any) -> dict[str, Any]:
    """`decig compress` of udnie, a generator of others that takes RGB from 0 to 255."""
    table = place.table_of_no_machine(table)
    pixels = ("--input-range", "0,255", "--output-range", "0,255", *_RGB)
    return _compress(place, file, table, place.paintings(12), pixels, 128, **options)


def plans_of_facades(place: Place, table: str, speedups: Sequence[int]) -> dict[str, Any]:
    """Plans of models/facades-resunet by what channels do to pictures (`--dry-run`)."""
    file = place.table_of_no_machine(ROOT / "profiles" / f"{table}.json")
    return _plans(place, FACADES, file, place.label_maps(5), (), speedups)


def plans_of_small(place: Place, speedups: Sequence[float]) -> dict[str, Any]:
    """The same of a small generator with a table that tells latency by work."""
    model = write_small_generator(place.folder / "small.onnx")
    table = place.table_of_no_machine(SMALL_TABLE, model)
    return _plans(place, model, table, place.paintings(5), _UNIT, speedups)


@contextlib.contextmanager
def losses() -> Iterator[list[float]]:
    """Record the loss of every backward pass, of generators and discriminators, in order."""
    import torch

    seen: list[float] = []
    original = torch.autograd.backward

    def watched(tensors: Any, *arguments: Any, **options: Any) -> None:
        seen.append(float(f"{float(tensors):.9g}"))  # nine digits say all of a float32
        original(tensors, *arguments, **options)

    torch.autograd.backward = watched
    try:
        yield seen
    finally:
        torch.autograd.backward = original


def _by_pass(seen: list[float], passes: int) -> dict[str, list[float]]:
    """Tell the losses apart that every step has in turn: discriminator's and generator's."""
    return {f"pass {k + 1}": seen[k::passes] for k in range(passes)}


def _compress(
    place: Place,
    model: Path,
    table: Path,
    images: Path,
    pixels: Sequence[str],
    crop: int,
    settings: dict[str, float] | None = None,
    fold_norms: bool = False,
    targets: Path | None = None,
) -> dict[str, Any]:
    """Compress a model and say what came of it.

    Args:
        place: where to work.
        model: the teacher.
        table: its cost table, of another device.
        images: what to feed it.
        pixels: options that say what pixels it takes.
        crop: longest side of the training crops.
        settings: those that differ from `_settings`.
        fold_norms: whether to fold norms.
        targets: real pictures for the images.
    """
    run = place.folder / "run"
    config = _settings_file(place, _settings(crop, settings or {}))
    given = ("--profile", table, "--force", "--data", images, "--config", config, *pixels)
    target = f"{milliseconds(table) / _SPEEDUP:.6f}ms"
    asked: list[Any] = ["--target-latency", target, "--steps", STEPS, "--output-dir", run]
    asked += ["--fold-norms"] if fold_norms else []
    asked += ["--targets", targets] if targets else []
    with losses() as seen:
        figures = json.loads(decig("compress", model, *given, *asked, "--json"))
    keep = json.loads((run / "plan.json").read_text())["keep"]
    return {
        "losses": _by_pass(seen, 2 if targets else 1),
        "widths": graphs.widths(keep),
        "ssim": figures["ssim"],
        "predicted_latency_ms": figures["predicted_latency_ms"],
        **graphs.digests(onnx.load(run / "student.onnx")),
    }


def _plans(
    place: Place,
    model: Path,
    table: Path,
    images: Path,
    pixels: Sequence[str],
    speedups: Sequence[float],
) -> dict[str, Any]:
    config = _settings_file(place, _settings(32, {}))
    given = ("--profile", table, "--force", "--data", images, "--config", config, *pixels)
    asked = ("--output-dir", place.folder / "none", "--dry-run", "--json")
    found = {}
    for speedup in speedups:
        target = f"{milliseconds(table) / speedup:.6f}ms"
        figures = json.loads(decig("compress", model, *given, "--target-latency", target, *asked))
        found[f"{speedup:g}x"] = {
            "widths": dict(sorted(figures["widths"].items())),
            "predicted_latency_ms": figures["predicted_latency_ms"],
        }
    return found


def _settings(crop: int, changes: dict[str, float]) -> dict[str, Any]:
    """Settings of the runs; float32, as whether bfloat16 is taken depends on the processor."""
    settings = {"crop": crop, "batch": 1, "held_out": 1, "repair_crops": 2, "precision": "fp32"}
    return settings | changes


_TABLES = {
    "train": ("precision",),
    "decig": ("condense", "condense_from", "fold", "fold_tolerance", "weighting"),
}
"""Settings that stand in another table than [distil]."""


def _settings_file(place: Place, settings: dict[str, Any]) -> Path:
    """Write settings as `--config` reads them; where its tables change, change this alone."""
    tables: dict[str, list[str]] = {"distil": [], **{name: [] for name in _TABLES}}
    for key, value in settings.items():
        table = next((name for name, keys in _TABLES.items() if key in keys), "distil")
        tables[table].append(f"{key} = {json.dumps(value)}\n")
    path = place.folder / "settings.toml"
    path.write_text("".join(f"[{name}]\n{''.join(lines)}" for name, lines in tables.items()))
    return path
