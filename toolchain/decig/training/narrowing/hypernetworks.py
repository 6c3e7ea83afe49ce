"""Hypernetworks that make the weights of convolutions, as CoroNet-GAN and DHP have them.

Li et al., "DHP: Differentiable Meta Pruning via HyperNetworks" (ECCV 2020), section 3.2, equations
3 to 6, and CoroNet-GAN (arXiv 2403.08261): the outer product of two latent vectors is embedded, one
entry at a time, and every embedding is turned into a kernel,

    K_oi = w2_oi (w1_oi (z_out z_in^T)_oi),      w1_oi in R^m, w2_oi in R^(k k x m)

with var(w1) = 1 and var(w2) = 1 / (m in k k), so that K has the variance 1 / (in k k) of a usual
first weight. The biases that the paper adds to the outer product and behind both layers are left
out: with them, the kernel of a latent that is zero would not be zero. Then the latents can be taken
out of the brackets,

    K = (z_out z_in^T) V,      V_oi = w2_oi w1_oi

and what the hypernetwork makes is V (`decig.training.narrowing.latents`), written as a product of
many more parameters than it has entries: about m of them for each. A generator that is trained
already gives the V to begin with: w2 begins with its draws, changed by the least that makes V the
given one.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from decig.errors import BadInputError
from decig.training.trainable.memory import free_bytes
from decig.training.trainable.module import parameters_by_initializer

COPIES = 6
"""Tensors as large as the parameters that training holds: these, their gradients, two moments of
Adam, a running mean, and the products that make V."""
_BYTES = 4
"""Of a float32."""

Axes = tuple[tuple[int, ...], tuple[int, ...]]
"""Of a weight: the axes along which its kernels lie, and that along which channels are made."""


class Hypernetworks(nn.Module):
    """Makes V of several weights.

    Attributes:
        w1: embeds each entry of the outer product, [out, in, 1, 1, m] for a convolution.
        w2: turns each embedding into a kernel, [out, in, k, k, m].
    """

    def __init__(
        self, weights: Mapping[str, tuple[Tensor, Axes]], embedding: int, seed: int
    ) -> None:
        """Draw the first parameters.

        Args:
            weights: V to begin with and its axes, by name.
            embedding: m, the size of the embeddings.
            seed: of the draws.
        """
        super().__init__()
        self._names = list(weights)
        self.w1, self.w2 = nn.ParameterList(), nn.ParameterList()
        random = torch.Generator().manual_seed(seed)
        for value, axes in weights.values():
            first, second = _drawn(value.detach(), axes, embedding, random)
            self.w1.append(nn.Parameter(first))
            self.w2.append(nn.Parameter(second))

    def forward(self) -> dict[str, Tensor]:
        """V of every weight, by its name."""
        pairs = zip(self._names, self.w1, self.w2, strict=True)
        return {name: (second * first).sum(-1) for name, first, second in pairs}


def _drawn(
    value: Tensor, axes: Axes, embedding: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw w1 and w2 that make a given V."""
    kernel, out = axes
    entries = [1 if axis in kernel else size for axis, size in enumerate(value.shape)]
    fan_in = value.numel() // math.prod(value.shape[axis] for axis in out)
    first = torch.randn(*entries, embedding, generator=random).to(value)
    second = torch.randn(*value.shape, embedding, generator=random).to(value)
    second *= (embedding * fan_in) ** -0.5
    missing = value - (second * first).sum(-1)
    second += missing[..., None] * first / first.square().sum(-1, keepdim=True)
    return first, second


def kernels_of(
    net: GraphModule, factors: Iterable[tuple[str, str, str]], indices: Callable[[str], Tensor]
) -> dict[str, Axes]:
    """Which weights have latents on both sides, and their axes.

    Args:
        net: the module of a graph.
        factors: initializer, role ("write" or "read") and name of the indices of latents.
        indices: gives those by their name, in a shape that is 1 along all axes of the weight
            along which the latent is the same.
    """
    varying: dict[str, dict[str, set[int]]] = {}
    for name, role, buffer in factors:
        axes = {axis for axis, size in enumerate(indices(buffer).shape) if size > 1}
        varying.setdefault(name, {}).setdefault(role, set()).update(axes)
    known = parameters_by_initializer(net)
    found = {}
    for name, roles in varying.items():
        if name in known and roles.keys() == {"write", "read"} and known[name].ndim > 1:
            every = set(range(known[name].ndim))
            kernel = tuple(sorted(every - roles["write"] - roles["read"]))
            found[name] = (kernel, tuple(sorted(roles["write"])))
    return found


def require_memory(entries: int, embedding: int, device: torch.device, table: str) -> None:
    """Refuse hypernetworks that do not fit into memory, before anything is made of them.

    Args:
        entries: of all weights together.
        embedding: m.
        device: where they are trained.
        table: of settings in which the embedding stands.

    Raises:
        BadInputError: they need more than is free.
    """
    parameters = entries * embedding * 10 // 8  # w2 has m for each entry, w1 m for each kernel
    needed, free = parameters * _BYTES * COPIES, free_bytes(device)
    if needed > free:
        raise BadInputError(
            f"[{table}] embedding = {embedding}: hypernetworks of {parameters:,} parameters need "
            f"{needed / 2**30:.1f} GiB to be trained, and {free / 2**30:.1f} GiB are free; take a "
            "smaller embedding, or 0"
        )
