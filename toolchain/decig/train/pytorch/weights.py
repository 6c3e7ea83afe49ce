"""Trained weights from a file into a module, found in whatever a training script saved.

A checkpoint is often a dictionary of dictionaries, and a set of weights in it may carry a prefix
(`module.` of DataParallel, `generator.` of Lightning). Every dictionary and every prefix is
tried; the one that fits is taken. Nothing is unpickled but tensors.
"""

import logging
import re
import warnings
from collections import Counter
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
from decig.train.pytorch.generator import guarded
from decig.train.pytorch.reparametrise import State, plain_name, resolve_module, resolve_state

_log = logging.getLogger(__name__)

_SHOWN = 6
"""Keys of one kind that a message shows."""


@dataclass(frozen=True)
class _Candidate:
    """One set of weights of a file.

    Attributes:
        name: keys and prefix that lead to it, joined by dots; "" for the whole file.
        state: its weights, plain and without the prefix.
        problems: why it does not fit, in words; empty if it does.
        matches: how many of the module's weights it holds in the right shape.
    """

    name: str
    state: State
    problems: list[str]
    matches: int


def load_weights(module: nn.Module, file: Path, name: str) -> None:
    """Put trained weights into `module`, whose spectral and weight norms become plain weights.

    Args:
        module: changed in place, to evaluation mode too.
        file: `.safetensors`, `.onnx` (initializers by name), or anything that `torch.load` reads
            without unpickling objects. Where several sets of weights fit, the one with "ema" in
            its name is taken; another is chosen by "file.pth:netG_A".
        name: of the module, for messages.

    Raises:
        BadInputError: unreadable, or no set of weights fits; lists the keys that are missing,
            not expected, or of another shape.
    """
    path, key = file, ""
    if not file.exists() and ":" in file.name:
        stem, _, key = file.name.rpartition(":")
        path = file.with_name(stem)
    content = _read(path)
    resolve_module(module)
    candidates = [
        _compare(_join(nested, prefix), part, module, whole=path.suffix != ".onnx")
        for nested, state in _states(content)
        for prefix, part in _parts(state, module)
    ]
    if key:
        candidates = [c for c in candidates if c.name == key or c.name.endswith(f".{key}")]
    if not candidates:
        raise BadInputError(f"{path}: holds no weights{key and f' under {key!r}'}")
    chosen = _choose(candidates, path, name)
    if chosen.name:
        _log.info("%s: taking the weights under %s", path, chosen.name)
    with guarded(f"{path}: does not fit {name}"):
        module.load_state_dict(chosen.state, strict=False)


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
            with warnings.catch_warnings():
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
            yield from _states(value, _join(name, str(key)))


def _parts(state: State, module: nn.Module) -> Iterator[tuple[str, State]]:
    """Yield the entries under every prefix behind which a weight of the module is found."""
    wanted = module.state_dict().keys()
    prefixes: Counter[str] = Counter()
    for key in {*state, *map(plain_name, state)}:
        words = key.split(".")
        for place in range(len(words)):
            if ".".join(words[place:]) in wanted:
                prefixes[".".join(words[:place])] += 1
    for prefix in prefixes or [""]:
        start = f"{prefix}." if prefix else ""
        yield prefix, {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}


def _compare(name: str, state: State, module: nn.Module, *, whole: bool) -> _Candidate:
    """Compare a set of weights with those that the module has.

    Args:
        name: of the set.
        state: the set, as the file spells it.
        module: with plain weights.
        whole: whether every entry must belong to the module; otherwise the rest is left out.
    """
    wanted = {k: v for k, v in module.state_dict().items() if isinstance(v, Tensor)}
    idle = _idle(module)
    state = {k: v for k, v in resolve_state(state, module).items() if k not in idle}
    missing = [k for k in wanted if k not in state and k not in idle]
    unexpected = [k for k in state if k not in wanted]
    shapes = {k: (v.shape, wanted[k].shape) for k, v in state.items() if k in wanted}
    other = [
        f"{k} {_size(ours)} instead of {_size(theirs)}"
        for k, (ours, theirs) in shapes.items()
        if ours != theirs
    ]
    problems = [
        _list("missing", missing),
        _list("not expected", unexpected if whole else []),
        _list("of another shape", other),
    ]
    state = {k: v for k, v in state.items() if k in wanted}
    matches = len(shapes) - len(other)
    return _Candidate(name, state, [p for p in problems if p], matches)


def _choose(candidates: list[_Candidate], path: Path, name: str) -> _Candidate:
    fitting = [c for c in candidates if not c.problems]
    if len(fitting) > 1:
        means = [c for c in fitting if "ema" in c.name.lower()]
        fitting = means if len(means) == 1 else fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(c.name or "(the file itself)" for c in fitting)
        raise BadInputError(
            f"{path}: several sets of weights fit {name}: {names}; choose one as in "
            f"{path}:{fitting[-1].name}"
        )
    nearest = max(candidates, key=lambda c: c.matches)
    where = f" (under {nearest.name})" if nearest.name else ""
    raise BadInputError(f"{path}{where}: does not fit {name}: {'; '.join(nearest.problems)}")


def _idle(module: nn.Module) -> set[str]:
    """Name the entries that play no part in inference, whether a file has them or not.

    They are the counter of running statistics, and the statistics themselves where an
    InstanceNorm keeps none (PyTorch before 0.4 wrote them nevertheless).
    """
    names = set()
    for prefix, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._NormBase):
            idle = ["num_batches_tracked"]
            if not part.track_running_stats:
                idle += ["running_mean", "running_var"]
            names |= {_join(prefix, name) for name in idle}
    return names


def _list(what: str, keys: list[str]) -> str:
    """Say how many keys are `what` and name the first; "" for none."""
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{len(keys)} {what} ({', '.join(keys[:_SHOWN])}{more})"


def _size(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "single"


def _join(first: str, second: str) -> str:
    return ".".join(part for part in (first, second) if part)
