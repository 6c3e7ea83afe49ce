"""Spectral and weight norm resolved: plain weights in the module and in what is loaded into it.

Both norms compute a weight from others at every step, which inference does not need:

    spectral norm (Miyato et al., ICLR 2018):          W = W_orig / (u^T W_orig v)
    weight norm (Salimans and Kingma, NeurIPS 2016):   W = g V / |V|

PyTorch has two spellings of each, hooks (`weight_orig`, `weight_u`, `weight_v`; `weight_g`,
`weight_v`) and parametrisations (`parametrizations.weight.original`, ...). A file may have one
spelling, the module another or none.
"""

import re

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

State = dict[str, Tensor]

_PARAMETRISED = re.compile(r"^(.*?)parametrizations\.(\w+)\.(original[01]?|0\._[uv])$")
_OLD_SUFFIX = {"original": "orig", "0._u": "u", "0._v": "v", "original0": "g", "original1": "v"}
_HOOKED = re.compile(r"^(.*)_(?:orig|u|v|g)$")
_NORMS = (parametrizations._SpectralNorm, parametrizations._WeightNorm)


def resolve_module(module: nn.Module) -> None:
    """Turn every weight of `module` under one of the norms into a plain parameter, in place."""
    module.eval()  # in training, asking for a weight moves the spectral norm's u and v
    for part in module.modules():
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, SpectralNorm):
                remove_spectral_norm(part, hook.name)
            elif isinstance(hook, WeightNorm):
                remove_weight_norm(part, hook.name)
        parametrised = getattr(part, "parametrizations", {})
        for name, steps in list(parametrised.items()):
            if all(isinstance(step, _NORMS) for step in steps):
                _give_own_class(part)
                parametrize.remove_parametrizations(part, name)


def _give_own_class(part: nn.Module) -> None:
    """Give a parametrised module a class of its own, equal to the one that it has.

    PyTorch makes a class whose properties compute the weights, which deep copies share. Removing
    a parametrisation deletes its property from the class, and so from all copies.
    """
    shared = type(part)
    content = {k: v for k, v in vars(shared).items() if k not in ("__dict__", "__weakref__")}
    part.__class__ = type(shared.__name__, shared.__bases__, content)


def plain_name(key: str) -> str:
    """Name of the weight that an entry of a state dict takes part in: "a.weight_u" is a.weight."""
    hooked = _HOOKED.match(_hook_spelling(key))
    return hooked[1] if hooked else key


def plain_shapes(state: State) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a state dict as they are once both norms are resolved.

    Args:
        state: in either spelling.

    Returns:
        The shape of every entry, by the plain name of the weight that it takes part in.
    """
    spelled = {_hook_spelling(key): tuple(value.shape) for key, value in state.items()}
    shapes = dict(spelled)
    for key in spelled:
        stem = plain_name(key)
        full = spelled.get(f"{stem}_orig") or (f"{stem}_g" in spelled and spelled.get(f"{stem}_v"))
        if stem != key and full:
            del shapes[key]
            shapes[stem] = full
    return shapes


def resolve_state(state: State, module: nn.Module) -> State:
    """Compute the plain weights of a state dict.

    Args:
        state: in either spelling; other entries are passed through.
        module: already plain; knows which weights there are and which are transposed.
    """
    spelled = {_hook_spelling(key): value for key, value in state.items()}
    if len(spelled) != len(state):
        return state
    wanted = module.state_dict().keys()
    for key in wanted - spelled.keys():
        orig, u, v, g = (spelled.get(f"{key}_{part}") for part in ("orig", "u", "v", "g"))
        if orig is not None and u is not None:
            weight = _spectral(orig, u, v, _rows_axis(module, key))
        elif g is not None and v is not None:
            weight = _weight_norm(g, v)
        else:
            continue
        for part in ("orig", "u", "v", "g"):
            spelled.pop(f"{key}_{part}", None)
        spelled[key] = weight
    back = {_hook_spelling(key): key for key in state}
    return {back.get(key, key): value for key, value in spelled.items()}


def _hook_spelling(key: str) -> str:
    """Write "a.parametrizations.weight.original" as the hooks would, "a.weight_orig"."""
    found = _PARAMETRISED.match(key)
    return f"{found[1]}{found[2]}_{_OLD_SUFFIX[found[3]]}" if found else key


def _rows_axis(module: nn.Module, key: str) -> int:
    """Axis of the output channels, by which both spellings unfold a weight into a matrix."""
    owner = module.get_submodule(key.rpartition(".")[0])
    transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
    return 1 if isinstance(owner, transposed) else 0


def _spectral(orig: Tensor, u: Tensor, v: Tensor | None, axis: int) -> Tensor:
    matrix = orig.float().movedim(axis, 0).flatten(1)
    u = u.float().flatten()
    if v is None:  # files older than PyTorch 1.0
        v = nn.functional.normalize(matrix.T @ u, dim=0)
    return orig.float() / torch.dot(u, matrix @ v.float().flatten())


def _weight_norm(g: Tensor, v: Tensor) -> Tensor:
    g, v = g.float(), v.float()
    axes = [axis for axis in range(v.ndim) if g.ndim != v.ndim or g.shape[axis] == 1]
    length = v.pow(2).sum(axes, keepdim=True).sqrt() if axes else v.abs()
    return v * (g / length)
