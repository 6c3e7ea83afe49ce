"""The graphs whose frozen multiply-accumulates are counted, and where each comes from.

Other people's ONNX files, the generators of models/, small nets with one pattern each, and the
architectures that the packages `spandrel` and `spandrel_extra_arches` collect from papers. These
stand here with fewer repetitions of each stage than their authors use, as the repetitions are alike
and shares hardly change.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from decig.errors import DecigError
from decig.graph.model import Model, load_model
from decig.source.recipe import ONLY_INPUT, Code
from decig.source.resolve import resolve

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
Shapes = dict[str, list[int]]


@dataclass(frozen=True)
class Net:
    """One graph to look at.

    Attributes:
        family: where it comes from.
        name: in the table.
        load: reads it, or exports it into a folder; raises a DecigError that says what is missing.
    """

    family: str
    name: str
    load: Callable[[Path], Model]


@dataclass(frozen=True)
class Architecture:
    """A published architecture as PyTorch code, with fresh weights.

    Attributes:
        python: "package.module:Class".
        side: height and width of its input.
        arguments: of the class.
        more: shapes of inputs beside the picture, by name.
        picture: name of the picture among several inputs.
    """

    python: str
    side: int = 64
    arguments: dict[str, Any] = field(default_factory=dict)
    more: Shapes = field(default_factory=dict)
    picture: str = ONLY_INPUT

    def load(self, name: str, folder: Path) -> Model:
        """Export it into a folder, or read what stands there already."""
        file = folder / f"{name}.onnx"
        if not file.is_file():
            from decig.training.pytorch.exporter import export_onnx
            from decig.training.pytorch.generator import build_generator

            with _without_torchvision():
                module = build_generator(Code(self.python, self.arguments), ROOT)
            folder.mkdir(parents=True, exist_ok=True)
            shapes = {self.picture: [1, 3, self.side, self.side], **self.more}
            export_onnx(module, shapes, file, name)
        return load_model(file)


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Let spandrel be imported without torchvision, which fits few versions of PyTorch.

    It imports all of its architectures at once, and two of them import three names of torchvision,
    which none of the networks here calls.
    """
    package, *inner = "torchvision", "torchvision.transforms", "torchvision.transforms.functional"
    if find_spec(package) is not None:
        yield
        return
    stand_ins = {name: ModuleType(name) for name in (package, *inner)}
    stand_ins[inner[-1]].__dict__.update(InterpolationMode=Enum("Mode", "BILINEAR"))
    stand_ins[inner[-1]].__dict__.update(rotate=None, normalize=None)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _published(package: str, name: str, **more: Any) -> Architecture:
    place = more.pop("place", name)
    side = more.pop("side", 64)
    return Architecture(f"{package}.architectures.{place}:{name}", side, more)


def _spandrel(name: str, **more: Any) -> Architecture:
    return _published("spandrel", name, **more)


def _extra(name: str, **more: Any) -> Architecture:
    return _published("spandrel_extra_arches", name, **more)


_PICTURE = {"in_nc": 3, "out_nc": 3}
_WINDOWS = {"depths": [2], "num_heads": [6], "window_size": 8, "upscale": 2}
_SHUFFLE = {"upsampler": "pixelshuffle"}

ARCHITECTURES: dict[str, Architecture] = {
    "AdaCode": _extra("AdaCode"),
    "ATD": _spandrel("ATD", depths=[2], num_heads=[6]),
    "CodeFormer": _extra("CodeFormer", side=512, n_layers=1),
    "Compact": _spandrel("Compact"),
    "CRAFT": _spandrel("CRAFT", depths=[1, 1], num_heads=[6, 6]),
    "DAT": _spandrel("DAT", depth=[2], num_heads=[2]),
    "DDColor": _extra("DDColor", side=256, encoder_name="convnext-t"),
    "DITN": _spandrel("DITN", ITL_blocks=2, SAL_blocks=2),
    "DnCNN": _spandrel("DnCNN", **_PICTURE),
    "DRCT": _spandrel("DRCT", depths=[6], num_heads=[6], upscale=2, **_SHUFFLE),
    "DRUNet": _spandrel("DRUNet", **_PICTURE),
    "ESRGAN": _spandrel("ESRGAN", num_blocks=2),
    "FBCNN": _spandrel("FBCNN"),
    "FDAT": _spandrel("FDAT", num_groups=1),
    "FeMaSR": _extra("FeMaSR"),
    "FFTformer": _spandrel("FFTformer", num_blocks=[1, 1, 1], num_refinement_blocks=1),
    "GFPGAN": _spandrel("GFPGAN", side=512),
    "GRL": _spandrel("GRL", depths=[2], num_heads_window=[3], num_heads_stripe=[3]),
    "HAT": _spandrel("HAT", **_WINDOWS, **_SHUFFLE),
    "HVI-CIDNet": _spandrel("HVICIDNet"),
    "IPT": _spandrel("IPT", side=48, num_layers=1),
    "KBNet-s": _spandrel("KBNet_s", place="KBNet"),
    "LaMa": Architecture(
        "spandrel.architectures.LaMa:LaMa",
        arguments={"in_nc": 4},
        more={"mask": [1, 1, 64, 64]},
        picture="img",
    ),
    "M3SNet": _extra("M3SNet", enc_blk_nums=[1, 1, 1, 2]),
    "MAT": Architecture(
        "spandrel_extra_arches.architectures.MAT:MAT",
        side=512,
        more={"mask": [1, 1, 512, 512]},
        picture="image",
    ),
    "MIRNet-v2": _extra("MIRNet2"),
    "MixDehazeNet": _spandrel("MixDehazeNet"),
    "MM-RealSR": _spandrel("MMRealSR", num_in_ch=3, num_out_ch=3, num_block=2),
    "MoESR": _spandrel("MoESR", n_blocks=2, n_block=2),
    "MoSR": _spandrel("MoSR", n_block=3),
    "MPRNet": _extra("MPRNet", num_cab=2),
    "NAFNet": _spandrel("NAFNet", width=32, enc_blk_nums=[1, 1, 1], dec_blk_nums=[1, 1, 1]),
    "Omni-SR": _spandrel("OmniSR"),
    "RCAN": _spandrel("RCAN", n_resgroups=2, n_resblocks=2),
    "Real-CUGAN": _spandrel("UpCunet2x", place="RealCUGAN"),
    "RealPLKSR": _spandrel("RealPLKSR", place="PLKSR"),
    "RestoreFormer": _spandrel("RestoreFormer", side=512),
    "Restormer": _extra("Restormer", num_blocks=[1, 1, 1, 1], num_refinement_blocks=1),
    "RetinexFormer": _spandrel("RetinexFormer", stage=1),
    "RGT": _spandrel("RGT", depth=[2], num_heads=[2]),
    "SAFMN": _spandrel("SAFMN", dim=36, n_blocks=3),
    "SAFMN-BCIE": _spandrel("SAFMNBCIE", dim=36, n_blocks=2, num_layers=2),
    "SCUNet": _spandrel("SCUNet", config=[2] * 7),
    "SeemoRe": _spandrel("SeemoRe", num_layers=2),
    "SPAN": _spandrel("SPAN", num_in_ch=3, num_out_ch=3),
    "SRFormer": _extra("SRFormer", **_WINDOWS, **_SHUFFLE),
    "Swift-SRGAN": _spandrel("SwiftSRGAN", num_blocks=3),
    "Swin2SR": _spandrel("Swin2SR", **_WINDOWS, **_SHUFFLE),
    "SwinIR": _spandrel("SwinIR", **_WINDOWS, **_SHUFFLE),
    "Uformer": _spandrel("Uformer", side=128, depths=[1] * 9),
}
"""Published architectures, by the name of their paper."""

_DYNAMIC: dict[str, Shapes] = {
    "sdpa_dynamic": {"x": [1, 3, 64, 64]},
    "window_attention_60": {"x": [1, 3, 64, 64]},
}
"""Sizes of the inputs of files with dynamic axes; CASES.md and SUITE.md say which they take."""

_CASE_NETS = {
    name: {"input": [1, 3, 64, 64]}
    for name in ("BlurChannels", "FourierUnit", "MaskOfRankFive", "QueriesTimesPixels", "Unfolded")
} | {
    "NormByStyle": {"x": [1, 3, 64, 64], "style": [1, 8]},
    "WriteInPlace": {"input": [1, 3, 64, 64]},
}
"""Classes in nets.py beside the cases, with the shapes of their inputs."""


def every(shared: Path = SHARED) -> Iterator[Net]:
    """Yield all graphs; what is absent says so when it is loaded."""
    for family, folder in (("suite", shared / "suite"), ("cases", shared / "cases")):
        files = sorted(folder.glob("*.onnx"))
        for file in files:
            yield Net(family, file.stem, _later(_read, file))
        if not files:
            yield Net(family, folder.name, _later(_absent, folder))
    for name, shapes in sorted(_CASE_NETS.items()):
        code = f"{shared / 'cases' / 'nets.py'}:{name}"
        yield Net("cases", name, _later(_resolved, code, shapes))
    for recipe in sorted((ROOT / "models").glob("*/recipe.toml")):
        yield Net("models", recipe.parent.name, _later(_resolved, str(recipe)))
    yield from _blocks()
    for name, architecture in ARCHITECTURES.items():
        yield Net("published", name, partial(architecture.load, name))


def _blocks() -> Iterator[Net]:
    try:
        from generator_blocks import BLOCKS, write_onnx
    except ModuleNotFoundError:
        yield Net("blocks", "generator_blocks", _later(_absent, "PyTorch"))
        return

    def load(name: str, folder: Path) -> Model:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"block {name}.onnx"
        if not file.is_file():
            block = BLOCKS[name]
            write_onnx(block.net(), block.inputs(), file)
        return load_model(file)

    for name in BLOCKS:
        yield Net("blocks", name, partial(load, name))


def _later(load: Callable[..., Model], *arguments: object) -> Callable[[Path], Model]:
    """A `Net.load` that needs no folder."""
    return lambda _: load(*arguments)


def _resolved(model: str, shapes: Shapes | None = None) -> Model:
    return resolve(model, None, shapes).model


def _read(file: Path) -> Model:
    return load_model(file, _DYNAMIC.get(file.stem))


def _absent(what: object) -> Model:
    raise DecigError(f"{what} is not there")
