"""All rules together on chains of operators that nobody thought of."""

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from decig.graph.rewrite import ANY_SIZE, CANONICAL, apply
from tests.graph.rewrite.small import Net, operators, run

_EXAMPLES = 60
_ARITHMETIC = ("Mul", "Add", "Sub", "Div")


class Chain:
    """Grows a graph step by step from drawn numbers; the last value has `c` channels."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.c, self.size = draw, 3, 8
        self.net = Net(
            1, 3, 8, 8, opset=draw(st.sampled_from([11, 17, 21])), seed=draw(st.integers(0, 99))
        )
        self.value, self.older = "x", [("x", 3, 8)]

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> None:
        self.value = self.net.node(op_type, *(inputs or (self.value,)), **attributes)

    def channel_numbers(self) -> str:
        shape = self.draw(st.sampled_from([(), (self.c, 1, 1), (1, self.c, 1, 1)]))
        return self.net.constant(self.net.random.uniform(0.5, 2.0, shape))

    def arithmetic(self) -> None:
        op_type = self.draw(st.sampled_from(_ARITHMETIC))
        inputs = [self.value, self.channel_numbers()]
        if op_type in ("Mul", "Add") and self.draw(st.booleans()):
            inputs.reverse()
        self.node(op_type, *inputs)

    def neutral(self) -> None:
        op_type = self.draw(st.sampled_from(_ARITHMETIC))
        self.node(op_type, self.value, self.net.constant(float(op_type in ("Mul", "Div"))))

    def conv(self) -> None:
        c, m = self.c, self.draw(st.sampled_from([2, 3, 6]))
        k = self.draw(st.sampled_from([1, 3, 5]))
        group = c if m % c == 0 and self.draw(st.booleans()) else 1
        bias = [self.net.weights(m)] * self.draw(st.booleans())
        weight = self.net.weights(m, c // group, k, k)
        self.node("Conv", self.value, weight, *bias, pads=[k // 2] * 4, group=group)
        self.c = m

    def enlarge(self) -> None:
        if self.size > 8:
            return
        attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        scales = self.net.constant([1.0, 1.0, 2.0, 2.0])
        roi = self.net.constant(np.zeros(0))
        self.node("Resize", self.value, roi, scales, mode="nearest", **attributes)
        self.size *= 2

    def pad_and_crop(self) -> None:
        mode = self.draw(st.sampled_from(["constant", "reflect", "edge"]))
        self.node("Pad", self.value, self.net.constant([0, 0, 1, 1] * 2, np.int64), mode=mode)
        bias = [self.net.weights(self.c)] * self.draw(st.booleans())
        self.node("Conv", self.value, self.net.weights(self.c, self.c, 3, 3), *bias)

    def norm(self) -> None:
        numbers = [self.net.weights(self.c), self.net.weights(self.c)]
        if self.draw(st.booleans()):
            numbers += [self.net.weights(self.c), self.net.constant(np.full(self.c, 1.5))]
            self.node("BatchNormalization", self.value, *numbers)
        else:
            self.node("InstanceNormalization", self.value, *numbers, epsilon=1e-2)

    def rectify(self) -> None:
        kind = self.draw(st.sampled_from(["Relu", "PRelu", "Max", "hard", "Tanh"]))
        source, number = self.value, self.net.constant
        if kind == "PRelu":
            self.node("PRelu", source, number(np.full((self.c, 1, 1), 0.2)))
        elif kind == "Max":
            self.node("Max", source, self.net.node("Mul", source, number(0.3)))
        elif kind == "hard":
            total = self.net.node("Add", source, number(3.0))
            limited = self.net.node("Clip", total, number(0.0), number(6.0))
            self.node("Mul", source, self.net.node("Div", limited, number(6.0)))
        else:
            self.node(kind)

    def join(self) -> None:
        others = [(v, c) for v, c, size in self.older if size == self.size and v != self.value]
        if others:
            other, c = self.draw(st.sampled_from(others))
            self.node("Concat", *self.draw(st.permutations([self.value, other])), axis=1)
            self.c += c

    def grow(self) -> None:
        steps = [
            *(self.arithmetic, self.arithmetic, self.neutral, self.conv, self.conv, self.enlarge),
            *(self.pad_and_crop, self.norm, self.rectify, self.join),
        ]
        for step in self.draw(st.lists(st.sampled_from(steps), min_size=4, max_size=14)):
            step()
            self.older.append((self.value, self.c, self.size))


def test_rewritten_chains_compute_the_same() -> None:
    matched: Counter[str] = Counter()

    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        chain = Chain(data.draw)
        chain.grow()
        proto = chain.net.finish(chain.net.node("Identity", chain.value))
        note(f"operators: {operators(proto)}")
        (expected,) = run(proto)
        for rules in (None, CANONICAL, ANY_SIZE):
            after, applied = apply(proto, rules)
            matched.update({step.rule for step in applied})
            note(f"rules: {[step.rule for step in applied]} give {operators(after)}")
            (found,) = run(after)
            assert expected.shape == found.shape
            scale = max(np.abs(expected).max(), 1e-3)
            assert np.abs(expected - found).max() <= 1e-4 * scale

    holds()
    assert len(matched) >= 10, matched
