"""Trained weights from a checkpoint into a module: the set of weights that fits is taken."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from decig.errors import BadInputError
from decig.training.nets.recognise import discriminator_in
from decig.training.pytorch.checkpoint import Checkpoint, join
from decig.training.pytorch.generator import guarded
from decig.training.pytorch.reparametrise import (
    State,
    plain_shapes,
    resolve_module,
    resolve_state,
)

_log = logging.getLogger(__name__)

_SHOWN = 6
"""Keys of one kind that a message shows."""


@dataclass(frozen=True)
class Candidate:
    """One set of weights of a file, beside the net that it was compared with.

    Attributes:
        name: keys and prefix that lead to it, joined by dots; "" for the whole file.
        raw: its entries as the file spells them, without the prefix.
        state: those that the net has a place for, plain.
        net: what it was compared with.
        problems: why it does not fit, in words; empty if it does.
        matches: how many of the net's weights it holds in the right shape.
        statistics: running statistics that it holds and the net has no use for.
    """

    name: str
    raw: State
    state: State
    net: nn.Module
    problems: list[str]
    matches: int
    statistics: list[str]


def load_weights(module: nn.Module, checkpoint: Checkpoint, name: str) -> None:
    """Put trained weights into `module`, whose spectral and weight norms become plain weights.

    Args:
        module: changed in place, to evaluation mode too.
        checkpoint: where several sets of weights in it fit, the one with "ema" in its name is
            taken; another is chosen by "file.pth:netG_A".
        name: of the module, for messages.

    Raises:
        BadInputError: no set of weights fits; lists the keys that are missing, not expected, or
            of another shape.
    """
    resolve_module(module)
    chosen = find_weights(checkpoint, module, name)
    if chosen.name:
        _log.info("%s: taking the weights under %s", checkpoint.path, chosen.name)
    if chosen.statistics:
        _log.info(
            "%s: left out %s: the instance norms of %s use those of each picture, as their "
            "authors' code does",
            checkpoint.path,
            _list("running statistics", chosen.statistics),
            name,
        )
    with guarded(f"{checkpoint.path}: does not fit {name}"):
        module.load_state_dict(chosen.state, strict=False)


def find_weights(
    checkpoint: Checkpoint,
    module: nn.Module,
    name: str,
    resized: Callable[[State], nn.Module | None] | None = None,
) -> Candidate:
    """Find the set of weights that fits a net.

    Args:
        checkpoint: the file.
        module: the net, with plain weights.
        name: of it, for messages.
        resized: makes the net in the size of a set of weights, where none fits as it is; None
            where they are not of such a net.

    Raises:
        BadInputError: none fits, or several do; says why, or how to choose.
    """
    parts = checkpoint.parts(module)
    whole = checkpoint.whole
    candidates = [_compare(label, state, module, whole=whole) for label, state in parts]
    if resized is not None and all(candidate.problems for candidate in candidates):
        for label, state in parts:
            if (net := resized(state)) is not None:
                candidates.append(_compare(label, state, net, whole=whole))
    return _choose(candidates, checkpoint, name)


def _compare(name: str, raw: State, module: nn.Module, *, whole: bool) -> Candidate:
    """Compare a set of weights with those that a module has.

    Args:
        name: of the set.
        raw: the set, as the file spells it.
        module: with plain weights.
        whole: whether every entry must belong to the module; otherwise the rest is left out.
    """
    wanted = {k: v for k, v in module.state_dict().items() if isinstance(v, Tensor)}
    idle = _idle(module)
    plain = resolve_state(raw, module)
    statistics = [k for k in plain if k in idle and not k.endswith(_COUNTER)]
    state = {k: v for k, v in plain.items() if k not in idle}
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
    return Candidate(name, raw, state, module, [p for p in problems if p], matches, statistics)


def _choose(candidates: list[Candidate], checkpoint: Checkpoint, name: str) -> Candidate:
    path = checkpoint.path
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
    nearest = max(candidates, key=lambda c: (c.matches, -len(c.name)))
    where = f" (under {nearest.name})" if nearest.name else ""
    kind = discriminator_in(plain_shapes(nearest.raw))
    if kind and not isinstance(nearest.net, kind):
        raise BadInputError(
            f"{path}{where}: this is a discriminator ({kind.TITLE}) and not {name}; the weights "
            "of a generator are in a file such as latest_net_G.pth"
        )
    raise BadInputError(f"{path}{where}: does not fit {name}: {'; '.join(nearest.problems)}")


_COUNTER = "num_batches_tracked"


def _idle(module: nn.Module) -> set[str]:
    """Name the entries that play no part in inference, whether a file has them or not.

    They are the counter of running statistics, and the statistics themselves where an
    InstanceNorm keeps none (PyTorch before 0.4 wrote them nevertheless).
    """
    names = set()
    for prefix, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._NormBase):
            idle = [_COUNTER]
            if not part.track_running_stats:
                idle += ["running_mean", "running_var"]
            names |= {join(prefix, name) for name in idle}
    return names


def _list(what: str, keys: list[str]) -> str:
    """Say how many keys are `what` and name the first; "" for none."""
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{len(keys)} {what} ({', '.join(keys[:_SHOWN])}{more})"


def _size(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "single"
