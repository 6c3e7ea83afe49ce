"""Every loader of files that people bring, with whole files to damage.

`test_loaders.py` damages them at random; `guided.py` lets atheris look for damage that reaches new
lines of the code.
"""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tifffile
from PIL import Image

from tests.fuzz.mutations import Damage, damaged, damaged_graph, damaged_text
from tests.samples import PIXELS, call, generator, write_generator

ROOT = Path(__file__).resolve().parents[2]

Whole = list[tuple[str, bytes]]
"""Suffix and content of files that the loader takes."""


@dataclass(frozen=True)
class Loader:
    """What reads one kind of file.

    Attributes:
        load: reads a file, as far as commands do before they work with it.
        damage: of such files.
        whole: makes files that are right, with the help of a scratch folder.
    """

    load: Callable[[Path], Any]
    damage: Damage
    whole: Callable[[Path], Whole]


def _load_graph(file: Path) -> None:
    from decig.graph.channels import analyse
    from decig.graph.cost import count
    from decig.graph.model import load_model

    proto = load_model(file).proto
    analyse(proto)
    count(proto)


def _graph(_: Path) -> Whole:
    return [(".onnx", generator(3, 16, 4).SerializeToString())]


def _load_recipe(file: Path) -> None:
    from decig.source.recipe import load_recipe

    load_recipe(file)


def _recipes(_: Path) -> Whole:
    files = sorted((ROOT / "models").glob("*/recipe.toml"))
    return [(".toml", file.read_bytes()) for file in files]


def _load_table(file: Path) -> None:
    from decig.device.cost.table import CostTable

    CostTable.load(file)


def _table(folder: Path) -> Whole:
    model = write_generator(folder / "m.onnx")
    table = folder / "table.json"
    import decig

    decig.profile(model, effort="quick").save(table)
    return [(".json", table.read_bytes())]


def _load_plan(file: Path) -> None:
    from decig.graph.channels import analyse
    from decig.graph.model import load_model
    from decig.graph.plan import Plan
    from decig.graph.slicing import slice_graph

    model = load_model(file.parent / "m.onnx")
    channels, plan = analyse(model.proto), Plan.load(file)
    plan.require_fits(channels, model.sha256)
    slice_graph(model.proto, channels, plan)


def _plan(folder: Path) -> Whole:
    from decig.graph.model import load_model

    sha256 = load_model(write_generator(folder / "m.onnx")).sha256
    keep = {"conv1": [0, 1], "conv2": [0, 3, 5]}
    plan = {"schema_version": 1, "model_sha256": sha256, "keep": keep}
    return [(".json", json.dumps(plan).encode())]


def _load_stamped(file: Path) -> None:
    from decig.source.resolve import resolve

    source = resolve(str(file))
    source.require_ports()
    _ = source.pixels


def _stamped(folder: Path) -> Whole:
    model, half = write_generator(folder / "m.onnx"), folder / "half.onnx"
    call("slice", model, "-o", half, "--keep", 0.5, *PIXELS)
    return [(".onnx", half.read_bytes())]


def _damaged_stamp(rng: np.random.Generator, data: bytes) -> bytes:
    proto = onnx.ModelProto.FromString(data)
    entry = proto.metadata_props[rng.integers(len(proto.metadata_props))]
    entry.value = damaged_text(rng, entry.value.encode()).decode("utf-8", "replace")
    return proto.SerializeToString()


def _load_image(file: Path) -> None:
    from decig.data.images import image_size, read_image

    image_size(file)
    read_image(file, alpha=True)
    assert read_image(file).dtype == np.uint8


def _images(_: Path) -> Whole:
    return list(_pictures(np.random.default_rng(0)))


def _pictures(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    colours = Image.fromarray(rng.integers(0, 256, (24, 20, 3), np.uint8))
    for suffix, form in ((".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP"), (".bmp", "BMP")):
        yield suffix, _saved(colours, form)
    for mode in ("L", "P", "1", "RGBA", "I;16"):
        source = colours if mode == "RGBA" else colours.convert("L")
        yield ".png", _saved(source.convert(mode), "PNG")
    for compression in (None, "tiff_lzw"):
        yield ".tif", _saved(colours, "TIFF", compression=compression)
    for kind in (np.uint16, np.int16, np.float32):
        file = io.BytesIO()
        tifffile.imwrite(file, rng.integers(0, 2, (9, 9)).astype(kind))
        yield ".tif", file.getvalue()


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _load_record(file: Path) -> None:
    from decig.cli.compress import compress
    from decig.cli.written import from_file
    from decig.repeating import read_options, read_recorded

    from_file(read_options(file), compress.params, file)
    read_recorded(file)


def _record(_: Path) -> Whole:
    text = (
        '[options]\nmodel = "m.onnx"\nsteps = 3\ntarget_speedup = [2, 4]\nforce = true\n\n'
        '[recorded]\ncommand = "compress"\narguments = ["m.onnx"]\nmodel = "ab"\n\n'
        '[recorded.versions]\nnumpy = "2.0"\n\n[recorded.machine]\ncores = 2\n\n'
        "[recorded.widths.2x]\nconv1 = 8\n"
    )
    return [(".toml", text.encode())]


def _load_settings(file: Path) -> None:
    from decig.training.config import Config

    Config.read(file)


def _settings(_: Path) -> Whole:
    text = (
        '[train]\nseed = 1\nprecision = "auto"\nlearning_rate = 0.002\n\n[distil]\ncrop = 128\n'
        'zoom = 1.6\n\n[decig]\ncondense = 0.15\nweighting = "linear"\n'
    )
    return [(".toml", text.encode())]


def _load_state(file: Path) -> None:
    from decig.training.loop.state import read_state

    read_state(file)


def _state(folder: Path) -> Whole:
    import torch

    from decig.training.loop.state import write_state

    groups = {"net": {"nets": {"net": {"weight": torch.zeros(3)}}, "optimiser": {}}}
    state = {"step": 3, "elapsed_s": 1.0, "groups": groups, "means": {}, "parts": []}
    write_state(folder / "state.pt", state)
    return [(".pt", (folder / "state.pt").read_bytes())]


def _load_weights(file: Path) -> None:
    import torch

    from decig.training.pytorch.checkpoint import Checkpoint
    from decig.training.pytorch.weights import load_weights

    load_weights(torch.nn.Conv2d(3, 3, 1), Checkpoint.read(file), "a convolution")


def _weights(folder: Path) -> Whole:
    import torch
    from safetensors.torch import save_file

    weights = torch.nn.Conv2d(3, 3, 1).state_dict()
    torch.save({"generator": weights, "epoch": 3}, folder / "w.pth")
    save_file(weights, folder / "w.safetensors")
    return [(s, (folder / f"w{s}").read_bytes()) for s in (".pth", ".safetensors")]


LOADERS = {
    "bytes of a graph": Loader(_load_graph, damaged, _graph),
    "graph": Loader(_load_graph, damaged_graph, _graph),
    "recipe": Loader(_load_recipe, damaged_text, _recipes),
    "table": Loader(_load_table, damaged_text, _table),
    "plan": Loader(_load_plan, damaged_text, _plan),
    "stamp": Loader(_load_stamped, _damaged_stamp, _stamped),
    "image": Loader(_load_image, damaged, _images),
    "record": Loader(_load_record, damaged_text, _record),
    "settings": Loader(_load_settings, damaged_text, _settings),
    "state": Loader(_load_state, damaged, _state),
    "weights": Loader(_load_weights, damaged, _weights),
}

NEED_TORCH = ("settings", "state", "weights")
"""Loaders of what only training reads."""
