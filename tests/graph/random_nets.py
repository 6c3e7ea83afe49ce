"""Nets that draw random numbers, in every way that ONNX has."""

from typing import Any

import numpy as np
import onnx

from tests.graph.tiny import parse

NOISE: dict[str, tuple[str, dict[str, Any], bool]] = {
    "normal, one channel": (
        "o = Slice(c, zero, one, one) n = RandomNormalLike<scale=0.5>(o) d = Add(c, n)", {}, True),
    "normal, every channel": ("n = RandomNormalLike<mean=1.0>(c) d = Add(c, n)", {}, True),
    "uniform": ("n = RandomUniformLike<low=-1.0, high=3.0>(c) d = Mul(c, n)", {}, True),
    "like a constant": ("n = RandomNormalLike(k) m = Mul(n, s) d = Add(c, m)",
                        {"k": (1, 8, 8, 8), "s": (8, 1, 1)}, True),
    "of a shape": ("n = RandomNormal<shape=[1,8,8,8]>() d = Add(c, n)", {}, True),
    "of a shape, one number per channel": (
        "n = RandomUniform<shape=[1,8,1,1]>() d = Mul(c, n)", {}, True),
    "of a shape, one channel": (
        "n = RandomNormal<shape=[1,1,8,8]>() m = Mul(n, s) d = Add(c, m)", {"s": (8, 1, 1)}, True),
    "coins": ("p = Sigmoid(c) n = Bernoulli(p) d = Mul(c, n)", {}, True),
    "dropout in training": ("d = Dropout(c, ratio, yes)", {}, True),
    "dropout with its mask": ("q, m = Dropout(c, ratio, yes) f = Cast<to=1>(m) d = Add(q, f)", {},
                              True),
    "classes": ("g = GlobalAveragePool(c) l = Reshape(g, flat)"
                " i = Multinomial<sample_size=1>(l) f = Cast<to=1>(i)"
                " u = Reshape(f, back) d = Add(c, u)", {"flat": [1, 8], "back": [1, 1, 1, 1]},
                False),
}  # fmt: skip
"""Nodes from `c` to `d`, their constants, and whether the channels of `c` can go."""


def noisy(name: str, size: int = 8) -> onnx.ModelProto:
    """Two layers with noise in between, and one behind."""
    body, constants, _ = NOISE[name]
    shared = {"zero": [0], "one": [1], "ratio": np.float32(0.3), "yes": np.array(True)}
    used = {key: value for key, value in shared.items() if key in body}
    return parse(
        f"[first] a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) [mid] c = Conv(b, w2)\n"
        f"{body}\n e = Relu(d) [last] y = Conv<pads=[1,1,1,1]>(e, w3)",
        inputs=f"float[1,3,{size},{size}] x",
        w1=(8, 3, 3, 3),
        w2=(8, 8, 1, 1),
        w3=(3, 8, 3, 3),
        **used,
        **constants,
    )
