"""Sizes of a net read off a checkpoint, so that weights of other widths and depths load as well.

A recipe may name a function beside the class of its net:

    [source]
    python = "generator.py:ResNet"
    arguments = { width = 64, blocks = 9 }
    sizes = "read_sizes"

It takes the shapes of a set of weights by their names, `{"model.1.weight": (64, 3, 7, 7), ...}`,
spectral and weight norms resolved. It returns what the class is called with beyond the recipe's
arguments, and what the weights say of the shapes of the inputs, None for sizes that they leave
open: `{"blocks": 6}, {"input": [None, 3, None, None]}`. A LookupError or ValueError says that
these are not weights of this net.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from decig.errors import BadInputError
from decig.source.recipe import Code
from decig.training.pytorch.checkpoint import Checkpoint
from decig.training.pytorch.generator import (
    Shapes,
    Sizes,
    build_generator,
    guarded,
    sizes_function,
)
from decig.training.pytorch.reparametrise import State, plain_shapes, resolve_module
from decig.training.pytorch.weights import find_weights

_log = logging.getLogger(__name__)

_Read = Mapping[str, list[int | None]]
"""Shapes of inputs as far as a checkpoint says them."""


def fit_to_checkpoint(
    code: Code,
    folder: Path,
    checkpoint: Checkpoint,
    shapes: Shapes,
    name: str,
    *,
    given: Collection[str] = (),
) -> tuple[Code, Shapes]:
    """Choose the arguments of a net, and the shapes of its inputs, for a checkpoint.

    The recipe's arguments stay where the checkpoint fits them.

    Args:
        code: the code; names the function that reads sizes.
        folder: as for `build_generator`.
        checkpoint: the weights.
        shapes: of the inputs.
        name: of the model, for messages.
        given: inputs whose shapes the user gave, which therefore stay.

    Returns:
        The code with its arguments, and the shapes.

    Raises:
        BadInputError: the checkpoint fits the net in no size; says why.
    """
    reader = _Reader(code, folder, checkpoint)
    as_it_is = reader.build(code)
    chosen = find_weights(checkpoint, as_it_is, name, reader.resized)
    if chosen.net is as_it_is:
        return code, shapes
    arguments, inputs = reader.read_for(chosen.net)
    told = ", ".join(f"{key} = {value}" for key, value in arguments.items())
    _log.info("%s: sizes read off the weights: %s", checkpoint.path, told)
    return (
        replace(code, arguments=code.arguments | arguments),
        _with_sizes(shapes, inputs, given, checkpoint.path),
    )


class _Reader:
    """Builds nets without memory, in the sizes that sets of weights say."""

    def __init__(self, code: Code, folder: Path, checkpoint: Checkpoint) -> None:
        self._code, self._folder, self._checkpoint = code, folder, checkpoint
        self._function = sizes_function(code, folder)
        self._made: list[tuple[nn.Module, dict[str, Any], _Read]] = []

    def build(self, code: Code) -> nn.Module:
        """Make the net that `code` names; its weights have shapes and no values."""
        with torch.device("meta"):
            net = build_generator(code, self._folder)
        resolve_module(net)
        return net

    def resized(self, state: State) -> nn.Module | None:
        """Make the net in the sizes of a set of weights; None if they are of another net."""
        shapes: Sizes = plain_shapes(state)
        place, _, _ = self._code.python.rpartition(":")
        with guarded(f"{place}:{self._code.sizes}: for {self._checkpoint.path}"):
            try:
                told = self._function(shapes)
            except (LookupError, ValueError) as error:
                _log.debug("%s: not of this net: %s", self._checkpoint.path, error)
                return None
            arguments, inputs = told
        try:
            net = self.build(replace(self._code, arguments=self._code.arguments | arguments))
        except BadInputError as error:
            _log.debug("%s: no net of these sizes: %s", self._checkpoint.path, error)
            return None
        self._made.append((net, arguments, inputs))
        return net

    def read_for(self, net: nn.Module) -> tuple[dict[str, Any], _Read]:
        """Return the arguments that `resized` made a net with, and the sizes of its inputs."""
        return next((arguments, inputs) for made, arguments, inputs in self._made if made is net)


def _with_sizes(
    shapes: Shapes,
    read: _Read,
    given: Collection[str],
    path: Path,
) -> Shapes:
    """Put sizes that a checkpoint says into the shapes of inputs."""
    if len(shapes) == len(read) == 1:  # the only input has one name here and another there
        read = dict(zip(shapes, read.values(), strict=True))
    sized = dict(shapes)
    for key, sizes in read.items():
        old = shapes.get(key)
        if key in given:
            continue
        if old is None or len(old) != len(sizes):
            raise BadInputError(f"{path}: the weights are for an input {key} of {len(sizes)} axes")
        sized[key] = [b if a is None else a for a, b in zip(sizes, old, strict=True)]
        if sized[key] != old:
            which = "the input" if len(shapes) == 1 else f"input {key}"
            _log.info("%s: %s is %s", path, which, "x".join(map(str, sized[key])))
    return sized
