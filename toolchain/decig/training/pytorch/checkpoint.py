"""The file of a training script: reading it, and the sets of weights that it holds.

A checkpoint is often a dictionary of dictionaries, and a set of weights in it may carry a prefix
(`module.` of DataParallel, `generator.` of Lightning). Every dictionary and every prefix is
offered. Nothing is unpickled but tensors, numbers, texts, and the record of options
(`argparse.Namespace`) that StyleGAN2's training script saves.
"""

import argparse
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import safetensors.torch
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from decig.errors import BadInputError
from decig.training.pytorch.reparametrise import State, plain_name


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds.

    Attributes:
        path: of the file.
        content: its dictionary.
        key: set of weights that was asked for ("file.pth:netG_A"); "" for whichever fits.
    """

    path: Path
    content: Mapping[str, Any]
    key: str = ""

    @classmethod
    def read(cls, file: Path) -> "Checkpoint":
        """Read a file.

        Args:
            file: `.safetensors`, `.onnx` (initializers by name), or anything that `torch.load`
                reads without unpickling objects; ":" and the name of a set of weights may follow.

        Raises:
            BadInputError: it is missing, damaged, or holds objects that can run code.
        """
        if not file.exists() and ":" in file.name:
            stem, _, key = file.name.rpartition(":")
            path = file.with_name(stem)
            return cls(path, _read(path), key)
        return cls(file, _read(file))

    @property
    def whole(self) -> bool:
        """Whether a net must have a place for every entry; an ONNX file has constants as well."""
        return self.path.suffix != ".onnx"

    def parts(self, module: nn.Module) -> list[tuple[str, State]]:
        """List every set of weights in which a weight of `module` may be found.

        Returns:
            The keys and the prefix that lead to each set, joined by dots ("" for the whole file),
            and its entries without the prefix.

        Raises:
            BadInputError: the file holds none, or none of the name that was asked for.
        """
        found = [
            (join(nested, prefix), part)
            for nested, state in _states(self.content)
            for prefix, part in _under_prefixes(state, module)
        ]
        if self.key:
            found = [(n, part) for n, part in found if f".{n}".endswith(f".{self.key}")]
        if not found:
            under = f" under {self.key!r}" if self.key else ""
            raise BadInputError(f"{self.path}: holds no weights{under}")
        return found


def join(first: str, second: str) -> str:
    """Join two parts of a key, either of which may be empty."""
    return ".".join(part for part in (first, second) if part)


def _read(path: Path) -> Mapping[str, Any]:
    """Read the dictionary that a file holds."""
    try:
        path.open("rb").close()
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        elif path.suffix == ".onnx":
            tensors = onnx.load(path).graph.initializer
            content = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in tensors}
        else:
            # A Namespace takes attributes and runs nothing.
            with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
                warnings.simplefilter("ignore")  # of TorchScript, on which it raises next
                content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise BadInputError(f"{path}: cannot read these weights: {error.strerror}") from error
    except Exception as error:
        raise BadInputError(
            f"{path}: cannot be read as weights: {_reason(error)}; save module.state_dict() "
            "alone, with torch.save or as .safetensors"
        ) from error
    if not isinstance(content, Mapping):
        raise BadInputError(
            f"{path}: holds a {type(content).__name__}, not a dictionary of weights"
        )
    return content


def _reason(error: Exception) -> str:
    if "TorchScript" in str(error):
        return "it is a TorchScript archive"
    if found := re.search(r"GLOBAL (\S+)", str(error)):
        return f"it holds Python objects ({found[1]}), which can run code and are never unpickled"
    return "it is damaged or something else"


def _states(content: Mapping[Any, Any], name: str = "") -> Iterator[tuple[str, State]]:
    """Yield every dictionary of tensors in a checkpoint, with the keys that lead to it."""
    tensors = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if tensors:
        yield name, tensors
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _states(value, join(name, str(key)))


def _under_prefixes(state: State, module: nn.Module) -> Iterator[tuple[str, State]]:
    """Yield all entries, and those under every prefix behind which a module's weight is found."""
    wanted = module.state_dict().keys()
    prefixes = {"": None}
    for key in dict.fromkeys([*state, *map(plain_name, state)]):
        words = key.split(".")
        for place in range(len(words)):
            if ".".join(words[place:]) in wanted:
                prefixes[".".join(words[:place])] = None
    for prefix in prefixes:
        start = f"{prefix}." if prefix else ""
        yield prefix, {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
