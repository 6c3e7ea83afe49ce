"""Which parameter of a PyTorch module is which initializer of the graph that it is exported as."""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor, nn

from decig.training.pytorch.reparametrise import plain_name

_NUMERATORS = (".original", "_orig")
"""Ends of the names of parameters under spectral norm, in PyTorch's two spellings."""


def weights_of(
    net: nn.Module, exported: nn.Module, initializers: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
    """Find the parameters of a module in the graph that it was exported as.

    The exporter keeps the name of most parameters, and stores those of some layers (a Linear) with
    their axes in another order and under a name of its own. So what has not the name of a
    parameter is looked for by its numbers, which fresh weights have drawn at random.

    Args:
        net: as it is trained, on the device that it stays on. Under spectral norm a parameter is
            the numerator of the weight: scaling it along one axis scales the weight along it, up to
            one factor for the whole weight. Under weight norm there is no such parameter.
        exported: what was written, of the same structure as `net` but with plain weights.
        initializers: of the graph, by name.

    Returns:
        By the name of the initializer, the parameter of `net` with its axes in the order of the
        initializer; it shares the parameter's memory. What is no parameter is left out.
    """
    plain = {name: p.detach().cpu().numpy() for name, p in exported.named_parameters()}
    trained = dict(_trained(net, plain))
    known = {name: value for name, value in plain.items() if name in trained}
    found = {}
    for name, value in initializers.items():
        match = _match(name, value, known)
        if match is not None:
            parameter, order = match
            found[name] = trained[parameter].permute(order)
    return found


def _trained(net: nn.Module, plain: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Tensor]]:
    """Parameters by the plain names of the weights that they are, or are the numerator of."""
    for key, parameter in net.named_parameters():
        name = plain_name(key) if key.endswith(_NUMERATORS) else key
        if name in plain:
            yield name, parameter.detach()


def _match(
    name: str, value: np.ndarray, known: Mapping[str, np.ndarray]
) -> tuple[str, tuple[int, ...]] | None:
    """The parameter that an initializer is, and the order of its axes there."""
    own = known.get(name)
    if own is not None and np.array_equal(own, value):
        return name, tuple(range(value.ndim))
    if value.ndim < 2 or np.unique(value).size < 2:
        return None  # such numbers tell no parameter from another
    for parameter, numbers in known.items():
        if sorted(numbers.shape) != sorted(value.shape):
            continue
        for order in itertools.permutations(range(value.ndim)):
            if np.array_equal(numbers.transpose(order), value):
                return parameter, order
    return None
