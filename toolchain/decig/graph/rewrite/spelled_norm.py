"""Normalisations spelled out in elementary operators.

    d = x - mean(x);  d / sqrt(mean(d * d) + epsilon)

with means over the same axes. Exporters write the square as d * d, as d ^ 2, or as d * (d + t) with
a tiny t: mean(d * (d + t)) = mean(d * d) + t * mean(d), and mean(d) = 0.
"""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.rule import NoMatch

_TINY = 1e-6


@dataclass(frozen=True)
class SpelledNorm:
    """A normalisation that is spelled out.

    Attributes:
        source: the value that is normalised.
        epsilon: one number, of the value's type.
        axes: those of the means, counted from the front.
    """

    source: str
    epsilon: np.ndarray
    axes: frozenset[int]


def spelled_norm(graph: Editor, node: NodeProto) -> SpelledNorm:
    """Read the normalisation whose division is `node`, a Div.

    Raises:
        NoMatch: it divides something else, or by something else.
    """
    difference = graph.producer(node.input[0], "Sub")
    if difference is None:
        raise NoMatch("it does not divide a difference")
    mean = _mean_of(graph, difference.input[1])
    if mean is None or mean[0] != difference.input[0]:
        raise NoMatch("the Sub in front does not take a value's own mean from it")
    epsilon = _epsilon(graph, node.input[1], difference.output[0])
    if epsilon is None:
        raise NoMatch("it does not divide by the square root of a variance and an epsilon")
    if not graph.is_float(mean[0]) or graph.shape(mean[0]) != graph.shape(node.output[0]):
        raise NoMatch(f"{mean[0]} is no float, or an epsilon of more axes widens it")
    if epsilon[1] != mean[1]:
        raise NoMatch("its mean and its variance are over different axes")
    return SpelledNorm(mean[0], epsilon[0], mean[1])


def _mean_of(graph: Editor, value: str) -> tuple[str, frozenset[int]] | None:
    """The value whose mean `value` is, and the axes of the mean; None if it is no mean.

    The axes must be kept, with size 1. A Reshape between the two may flatten the spatial axes.
    """
    mean = graph.producer(value, "ReduceMean") or graph.producer(value, "GlobalAveragePool")
    shape = mean and graph.shape(mean.input[0])
    axes = None if mean is None or shape is None else _axes(graph, mean, len(shape))
    if mean is None or shape is None or axes is None:
        return None
    source: str = mean.input[0]
    reshape, spatial = graph.producer(source, "Reshape"), frozenset(range(2, len(shape)))
    if reshape is None or not axes <= spatial:
        return source, axes
    # Of a flattened picture, [N, C, 1, H W] or [N, C, H W, 1], the mean over the one that is long.
    full, long = graph.shape(reshape.input[0]), {axis for axis in spatial if shape[axis] > 1}
    if full is None or len(full) != len(shape) or full[:2] != shape[:2] or not long <= axes:
        return source, axes
    return str(reshape.input[0]), spatial


def _axes(graph: Editor, mean: NodeProto, rank: int) -> frozenset[int] | None:
    """Axes of a mean that keeps them with size 1; None for any other mean."""
    if mean.op_type == "GlobalAveragePool":
        return frozenset(range(2, rank))
    axes = attribute(mean, "axes", None)
    if axes is None and len(mean.input) > 1:
        axes = graph.constant(mean.input[1])
    if axes is None or not len(axes) or not attribute(mean, "keepdims", 1):
        return None
    return frozenset(int(axis) % rank for axis in axes)


def _epsilon(
    graph: Editor, value: str, difference: str
) -> tuple[np.ndarray, frozenset[int]] | None:
    """Epsilon and axes, if `value` is sqrt(mean(difference ^ 2) + epsilon)."""
    root = graph.producer(value, "Sqrt")
    total = root and graph.producer(root.input[0], "Add")
    if total is None:
        return None
    for variance, epsilon in (total.input, reversed(total.input)):
        constant = graph.constant(epsilon)
        mean = _mean_of(graph, variance)
        if constant is not None and constant.size == 1 and mean is not None:
            return (constant, mean[1]) if _is_square(graph, mean[0], difference) else None
    return None


def _is_square(graph: Editor, value: str, of: str) -> bool:
    if power := graph.producer(value, "Pow"):
        exponent = graph.constant(power.input[1])
        return power.input[0] == of and exponent is not None and bool((exponent == 2).all())
    product = graph.producer(value, "Mul")
    return product is not None and all(_is_nearly(graph, name, of) for name in product.input)


def _is_nearly(graph: Editor, value: str, of: str) -> bool:
    """Whether `value` is `of`, or `of` plus a tiny constant."""
    total = graph.producer(value, "Add")
    if value == of or total is None:
        return value == of
    constants = [array for array in map(graph.constant, total.input) if array is not None]
    return of in total.input and len(constants) == 1 and bool((abs(constants[0]) < _TINY).all())
