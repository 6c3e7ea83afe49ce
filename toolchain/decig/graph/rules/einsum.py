"""Einsum: the letters of the equation say what happens to channels.

A letter that both operands have and the result has not is summed over, as a matrix product sums
over its inner axis; a letter of the weights alone makes new channels; every other letter passes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_letters

import numpy as np
import onnx

from decig.graph.flow import Flow, attributes
from decig.graph.ids import Ids, varying_axes
from decig.graph.rules.multilinear import sum_of_products
from decig.graph.rules.registry import rule


@dataclass(frozen=True)
class Equation:
    """Letters of the axes of each operand and of the result, "..." written out."""

    terms: tuple[str, ...]
    result: str

    @classmethod
    def of(cls, text: str, ranks: Sequence[int]) -> "Equation":
        """Read the attribute of a node whose operands have these ranks."""
        left, arrow, right = text.replace(" ", "").partition("->")
        terms = left.split(",")
        used = set(text)
        spare = [letter for letter in ascii_letters if letter not in used]
        lengths = [
            rank - len(term.replace("...", "")) if "..." in term else 0
            for term, rank in zip(terms, ranks, strict=True)
        ]
        # Axes behind an ellipsis are counted from the last one, as in broadcasting.
        dots = "".join(spare[: max(lengths)])
        terms = [
            term.replace("...", dots[len(dots) - length :])
            for term, length in zip(terms, lengths, strict=True)
        ]
        if not arrow:
            once = sorted(
                x for x in set("".join(terms)) - set(dots) if "".join(terms).count(x) == 1
            )
            right = dots + "".join(once)
        return cls(tuple(terms), right.replace("...", dots))


@rule("Einsum")
def einsum(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Sum of products of any number of operands."""
    names = list(node.input)
    ranks = [len(flow.shape(name)) for name in names]
    equation = Equation.of(attributes(node)["equation"].decode(), ranks)
    weights = [slot for slot, name in enumerate(names) if flow.is_constant(name)]
    if not weights and all(flow.of(name) is None for name in names):
        return None
    diagonal = any(len(set(term)) < len(term) for term in equation.terms)
    if len(names) > 2 or diagonal or not flow.products.isdisjoint(names):
        return sum_of_products(flow, node, equation.terms, equation.result)
    if len(names) == 1:
        return _sum(flow, node, equation)
    if weights:
        return _with_weights(flow, node, equation, weights[0])
    return _computed(flow, node, equation)


def _lay(ids: Ids, term: str, letters: str) -> Ids:
    """Move identities from the axes of one term to others; lost axes must be of size 1."""
    wide = ids.reshape(*ids.shape, *[1] * sum(letter not in term for letter in letters))
    full = term + "".join(letter for letter in letters if letter not in term)
    lost = [letter for letter in full if letter not in letters]
    moved = wide.transpose([full.index(letter) for letter in (*lost, *letters)])
    return moved.reshape(moved.shape[len(lost) :])


def _varying(ids: Ids, term: str) -> list[str]:
    return [term[axis] for axis in varying_axes(ids)]


def _tie(flow: Flow, ids: Ids, term: str, letters: Iterable[str], reason: str) -> Ids:
    return flow.space.tie(ids, tuple(term.index(letter) for letter in letters), reason)


def _sum(flow: Flow, node: onnx.NodeProto, equation: Equation) -> Ids | list[Ids | None] | None:
    """One operand: axes move, or are summed over."""
    ids, term = flow.of_or_fixed(node.input[0]), equation.terms[0]
    varying = _varying(ids, term)
    summed = [letter for letter in varying if letter not in equation.result]
    if not summed:
        return _lay(ids, term, equation.result)
    if len(summed) < len(varying):
        return flow.block(node, f"Einsum {node.name} sums over some of several axes of channels")
    flow.read(node, 0, ids)
    return flow.fixed(node.output[0])


def _with_weights(
    flow: Flow, node: onnx.NodeProto, equation: Equation, slot: int
) -> Ids | list[Ids | None] | None:
    """One operand is constant: it reads channels and makes new ones, or scales them."""
    source, term = flow.of_or_fixed(node.input[1 - slot]), equation.terms[1 - slot]
    weight = equation.terms[slot]
    varying = _varying(source, term)
    summed = [letter for letter in term if letter in weight and letter not in equation.result]
    read = [letter for letter in summed if letter in varying]
    if varying and not read:
        return _scaled(flow, node, equation, slot)
    why = f"Einsum {node.name} reads them with the same weights"
    incoming = _tie(flow, source, term, [x for x in varying if x not in read], why)
    made = "".join(x for x in equation.result if x in weight and x not in term)
    sizes = dict(zip(weight, flow.shape(node.input[slot]), strict=True))
    shape = [sizes[letter] for letter in made]
    outgoing = flow.space.fresh(int(np.prod(shape))).reshape(shape)
    if summed:
        flow.read(node, 1 - slot, incoming)
        flow.bind(node, slot, "read", _lay(incoming, term, weight))
    if not made:
        return flow.fixed(node.output[0])
    flow.bind(node, slot, "write", _lay(outgoing, made, weight))
    return _lay(outgoing, made, equation.result)


def _scaled(
    flow: Flow, node: onnx.NodeProto, equation: Equation, slot: int
) -> Ids | list[Ids | None] | None:
    """No channel is summed over with a weight of its own: channels pass, perhaps scaled."""
    source, term = flow.of_or_fixed(node.input[1 - slot]), equation.terms[1 - slot]
    weight = equation.terms[slot]
    varying = _varying(source, term)
    if any(letter not in equation.result for letter in varying):
        return flow.block(node, f"Einsum {node.name} sums over channels")
    met = [letter for letter in varying if letter in weight]
    if met:
        why = f"Einsum {node.name} has one weight for them"
        tied = _tie(flow, source, term, [x for x in varying if x not in met], why)
        flow.bind(node, slot, "value", _lay(tied, term, weight))
    return _lay(source, term, equation.result)


def _computed(
    flow: Flow, node: onnx.NodeProto, equation: Equation
) -> Ids | list[Ids | None] | None:
    """Two computed operands, as in attention."""
    left, right = (flow.of(name) for name in node.input)
    if left is None or right is None:
        return _with_map(flow, node, equation, 0 if right is None else 1)
    one, other = equation.terms
    vary = _varying(left, one), _varying(right, other)
    apart = [[x for x in vary[0] if x not in other], [x for x in vary[1] if x not in one]]
    common = [x for x in one if x in other and (x in vary[0] or x in vary[1])]
    summed = [x for x in common if x not in equation.result]
    if (summed and any(apart)) or all(apart):
        return sum_of_products(flow, node, equation.terms, equation.result)
    if any(x not in equation.result for side in apart for x in side):
        return flow.block(node, f"Einsum {node.name} sums over channels")
    heads = [x for x in common if x in equation.result] if summed else []
    why = f"heads of Einsum {node.name} must stay equal"
    left = _tie(flow, left, one, [x for x in heads if x in vary[0]], why)
    right = _tie(flow, right, other, [x for x in heads if x in vary[1]], why)
    if common:
        ends = (
            _lay(_first(ids, term, side), term, "".join(common))
            for ids, term, side in ((left, one, apart[0]), (right, other, apart[1]))
        )
        flow.space.unite(next(ends), next(ends), f"Einsum {node.name} joins them with fixed ones")
    if summed:
        flow.read(node, 0, left)
        return None
    widest = max(((left, one), (right, other)), key=lambda pair: pair[0].size)
    return _lay(*widest, equation.result)


def _first(ids: Ids, term: str, letters: Iterable[str]) -> Ids:
    """Take the first element along some axes."""
    for letter in letters:
        ids = ids.take([0], term.index(letter))
    return ids


def _with_map(
    flow: Flow, node: onnx.NodeProto, equation: Equation, slot: int
) -> Ids | list[Ids | None] | None:
    """One operand is an attention map, which has no channels: those of the other pass."""
    ids, term = flow.of_or_fixed(node.input[slot]), equation.terms[slot]
    varying = _varying(ids, term)
    if any(letter not in equation.result for letter in varying):
        return flow.block(node, f"Einsum {node.name} joins channels with a computed tensor")
    stacked = [x for x in varying if x in equation.terms[1 - slot]]
    if stacked and len(stacked) == len(varying):
        return flow.block(node, f"Einsum {node.name} joins channels with a computed tensor")
    why = f"heads of Einsum {node.name} must stay equal"
    return _lay(_tie(flow, ids, term, stacked, why), term, equation.result)
