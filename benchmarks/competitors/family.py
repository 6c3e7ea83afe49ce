"""Nets of one architecture at every width, slimmer by the same share everywhere."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from competitors.style_net import TRUNK, InstanceNorm, StyleNet
from decig.errors import BadInputError
from decig.source.recipe import load_recipe
from decig.training.pytorch.generator import build_generator


@dataclass(frozen=True)
class Family:
    """Nets of one architecture.

    Attributes:
        make: makes the net with fresh weights, by the channels of its widest layers.
        widest: channels of the widest layers of the whole net.
        narrowest: least number of them.
    """

    make: Callable[[int], nn.Module]
    widest: int
    narrowest: int = 4


STYLE = Family(StyleNet, TRUNK)
"""Of udnie.onnx and wave.onnx."""


def family_of(recipe: Path | None) -> Family:
    """The nets of a recipe's PyTorch class, or of `STYLE` without a recipe.

    All of `width` and `widths` among the arguments of the class are multiplied by the same share.

    Raises:
        BadInputError: the recipe has no PyTorch class, or the class takes neither argument.
    """
    if recipe is None:
        return STYLE
    loaded = load_recipe(recipe)
    if loaded.source is None:
        raise BadInputError(f"{recipe}: its recipe names no PyTorch class, of which peers are made")
    code = loaded.source
    full = {name: code.arguments[name] for name in ("width", "widths") if name in code.arguments}
    if not full:
        raise BadInputError(f"{recipe}: source.arguments has neither width nor widths")
    widest = max(max(each) if isinstance(each, list) else each for each in full.values())

    def make(channels: int) -> nn.Module:
        slim = {name: _scaled(each, channels, widest) for name, each in full.items()}
        net = build_generator(replace(code, arguments=code.arguments | slim), loaded.folder)
        for module in net.modules():
            if type(module) is nn.InstanceNorm2d:
                module.__class__ = InstanceNorm  # the same, with the right gradient
        return net

    return Family(make, widest)


def _scaled(widths: Any, channels: int, widest: int) -> Any:
    if isinstance(widths, list):
        return [_scaled(width, channels, widest) for width in widths]
    return max(1, widths * channels // widest)
