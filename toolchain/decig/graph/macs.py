"""How the multiply-accumulates of one node are counted, by what its operator computes.

Each function takes the shapes of the node's inputs, the shape of its first output, and its
attributes. All taps of a window count, those that fall on padding too. What is not a sum of
products (activations, norms, pools) counts nothing: the figures are those of papers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]
Count = Callable[[Sequence[Shape], Shape, Mapping[str, Any]], int]
"""Multiply-accumulates of a node from its inputs' shapes, its output's shape and its attributes."""


def per_output(inputs: Sequence[Shape], output: Shape, _: Mapping[str, Any]) -> int:
    """Convolution with weights [O, C / groups, *kernel]: a window of weights for each output."""
    return math.prod(output) * math.prod(inputs[1][1:])


def per_input(inputs: Sequence[Shape], _output: Shape, _: Mapping[str, Any]) -> int:
    """Transposed convolution with weights [C, O / groups, *kernel]: a window for each input.

    Published figures often take the output size instead, four times too many at stride 2.
    """
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def per_product(inputs: Sequence[Shape], output: Shape, options: Mapping[str, Any]) -> int:
    """Matrix product [..., M, K] x [..., K, N]: K for each output; `transA` swaps M and K."""
    return math.prod(output) * inputs[0][-2 if options.get("transA") else -1]


def per_index(inputs: Sequence[Shape], _: Shape, options: Mapping[str, Any]) -> int:
    """Einsum as its equation is written: one product for every value that the indices take.

    Three operands need two multiplications for each; one operand needs none.
    """
    terms = options["equation"].decode().replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, inputs, strict=True):
        for index, size in _sizes(term, shape):
            sizes[index] = max(size, sizes.get(index, 1))  # 1 is broadcast to the others
    return math.prod(sizes.values()) * (len(terms) - 1)


def _sizes(term: str, shape: Shape) -> list[tuple[str, int]]:
    """Size of every index of one operand; the axes of an ellipsis are named from the last one."""
    before, dots, behind = term.partition("...")
    free = len(shape) - len(before) - len(behind) if dots else 0
    names = [*before, *(f"...{place}" for place in reversed(range(free))), *behind]
    return list(zip(names, shape, strict=True))
