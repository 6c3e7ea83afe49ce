"""Einsum of any number of operands: the sum is linear in each of them.

Every letter is looked at by itself. A letter along which a computed operand has channels unites
them over all operands that have it; it is read if the result has it not. A letter of weights alone
makes channels. Two letters of channels in the result are a product of channels with channels, whose
axes are spare (`decig.graph.rules.products`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx

from decig.graph.flow import Flow, on_axis
from decig.graph.ids import Ids, varying_axes


@dataclass
class Operand:
    """One operand of an Einsum.

    Attributes:
        slot: its place among the node's inputs.
        term: letters of its axes.
        sizes: size of each letter's axis.
        constant: whether it is an initializer.
        channels: 1-D identities by the letter along which they vary.
    """

    slot: int
    term: str
    sizes: dict[str, int]
    constant: bool
    channels: dict[str, Ids] = field(default_factory=dict)

    def has(self, letter: str) -> bool:
        """Whether it extends along a letter: an axis of size 1 is broadcast."""
        return self.sizes.get(letter, 1) > 1


def sum_of_products(
    flow: Flow, node: onnx.NodeProto, terms: Sequence[str], result: str
) -> Ids | list[Ids | None] | None:
    """Identities of an Einsum's result; what cannot be followed is frozen, and the reason says why.

    Args:
        flow: state of the pass.
        node: the Einsum.
        terms: letters of every operand, an ellipsis written out.
        result: letters of the result.
    """
    operands = [_operand(flow, node, slot, term) for slot, term in enumerate(terms)]
    for operand in operands:
        if not _settle_heads(flow, node, operand, operands, result):
            return flow.block(
                node, f"Einsum {node.name} sums over some of several axes of channels"
            )
    letters = sorted({letter for operand in operands for letter in operand.channels})
    made = [x for x in result if _is_made(x, operands)]
    fault = _fault(operands, letters, made, result)
    readers = _readers(operands, [x for x in letters if x not in result])
    if fault or readers is None:
        why = fault or "sums over several axes of channels of one operand"
        return flow.block(node, f"Einsum {node.name} {why}")
    found = {letter: flow.space.fresh(_size(operands, letter)) for letter in made}
    for letter in letters:
        members = [o.channels[letter] for o in operands if letter in o.channels]
        for other in members[1:]:
            flow.space.unite(members[0], other, f"Einsum {node.name} joins them with fixed ones")
        found[letter] = members[0]
    for letter, ids in found.items():
        role = "write" if letter in made else "value" if letter in result else "read"
        for operand in operands:
            if operand.constant and operand.has(letter):
                laid = on_axis(ids, operand.term.index(letter), len(operand.term))
                flow.bind(node, operand.slot, role, laid)  # type: ignore[arg-type]
    for letter, operand in readers.items():
        laid = on_axis(found[letter], operand.term.index(letter), len(operand.term))
        flow.read(node, operand.slot, laid)
    return _result(flow, node, operands, {x: found[x] for x in result if x in found}, result)


def _operand(flow: Flow, node: onnx.NodeProto, slot: int, term: str) -> Operand:
    name = node.input[slot]
    sizes: dict[str, int] = {}
    for letter, size in zip(term, flow.shape(name), strict=True):
        sizes[letter] = max(size, sizes.get(letter, 1))
    operand = Operand(slot, term, sizes, flow.is_constant(name))
    ids = flow.of(name)
    if ids is not None and not operand.constant:
        operand.channels = {term[axis]: ids for axis in varying_axes(ids)}
    if name in flow.products:
        spare = flow.spare.get(name, {})
        operand.channels.update({term[axis]: ids for axis, ids in spare.items()})
    return operand


def _settle_heads(
    flow: Flow, node: onnx.NodeProto, operand: Operand, operands: list[Operand], result: str
) -> bool:
    """Give an operand 1-D identities per letter.

    Of an array that varies along several letters, those that the result and another operand have
    too are heads: they stay, and every head keeps the same places.

    Returns:
        Whether one letter at most is left of such an array.
    """
    array = next((ids for ids in operand.channels.values() if ids.ndim > 1), None)
    if array is None:
        return True
    varying = [x for x in operand.channels if operand.channels[x] is array]
    others = [other for other in operands if other is not operand]
    heads = [x for x in varying if x in result and any(other.has(x) for other in others)]
    if len(varying) > 1:
        why = f"heads of Einsum {node.name} must stay equal"
        axes = tuple(operand.term.index(x) for x in heads)
        array = flow.space.tie(array, axes, why)
        varying = [x for x in varying if x not in heads]
        operand.channels = {x: ids for x, ids in operand.channels.items() if x in varying}
    if len(varying) > 1:
        return False
    for letter in varying:
        operand.channels[letter] = array.ravel()
    return True


def _is_made(letter: str, operands: list[Operand]) -> bool:
    """Whether only weights extend along a letter."""
    having = [operand for operand in operands if operand.has(letter)]
    return bool(having) and all(operand.constant for operand in having)


def _size(operands: list[Operand], letter: str) -> int:
    return max(operand.sizes.get(letter, 1) for operand in operands)


def _fault(operands: list[Operand], letters: list[str], made: list[str], result: str) -> str | None:
    """What makes channels impossible to follow."""
    touched = [*letters, *made]
    for operand in operands:
        counts = Counter(operand.term)
        if any(counts[letter] > 1 for letter in touched):
            return "takes a diagonal over channels"
        for letter in letters:
            known = operand.constant or letter in operand.channels
            if operand.has(letter) and not known:
                return "joins channels with a computed tensor"
    if sum(letter in result for letter in touched) > 2:
        return "has three axes of channels in its result"
    return None


def _readers(operands: list[Operand], summed: list[str]) -> dict[str, Operand] | None:
    """An operand of its own for every letter that is summed over; None if there are too few."""
    found: dict[str, Operand] = {}
    taken: list[int] = []
    for letter in summed:
        free = [o for o in operands if letter in o.channels and o.slot not in taken]
        if not free:
            return None
        found[letter] = free[0]
        taken.append(free[0].slot)
    return found


def _result(
    flow: Flow,
    node: onnx.NodeProto,
    operands: list[Operand],
    found: dict[str, Ids],
    result: str,
) -> Ids | None:
    """Lay what is found on the axes of the result."""
    laid = {result.index(letter): ids for letter, ids in found.items()}
    if len(laid) == 1:
        ((axis, ids),) = laid.items()
        return on_axis(ids, axis, len(result))
    if laid:
        flow.spare[node.output[0]] = laid
        flow.products.add(node.output[0])
        return None
    pictures = any(flow.of(node.input[o.slot]) is not None and not o.channels for o in operands)
    return flow.fixed(node.output[0]) if pictures else None
