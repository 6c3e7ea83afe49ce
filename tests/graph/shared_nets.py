"""Nets of which several nodes use the same weights."""

import onnx

from tests.graph.tiny import parse

PAD = "Conv<pads=[1,1,1,1]>"


def recursive(depth: int = 9, size: int = 8) -> onnx.ModelProto:
    """One block, run again and again, between a head and a tail."""
    lines = [f"[head] f0 = {PAD}(x, wi)"]
    for index in range(depth):
        lines.append(
            f"[block{index}] c{index} = {PAD}(f{index}, w)\n f{index + 1} = Relu(c{index})"
        )
    lines.append(f"[tail] y = {PAD}(f{depth}, wo)")
    inputs = f"float[1,3,{size},{size}] x"
    return parse("\n".join(lines), inputs=inputs, wi=(8, 3, 3, 3), w=(8, 8, 3, 3), wo=(3, 8, 3, 3))


ENCODER = """
    [{0}1] {0}a = Conv(x{0}, w1, b1)
    [{0}n] {0}b = InstanceNormalization({0}a, scale, shift)
    {0}c = Relu({0}b)
    [{0}2] {0}d = Conv({0}c, w2, b2)
    {0}e = PRelu({0}d, slope)
"""


def siamese(**changed: object) -> onnx.ModelProto:
    """Two pictures through the same encoder, then a decoder of their difference."""
    body = ENCODER.format("s") + ENCODER.format("t") + "f = Sub(se, te)\n [out] y = Conv(f, w3)"
    given: dict[str, object] = {
        "w1": (8, 3, 1, 1),
        "b1": (8,),
        "scale": (8,),
        "shift": (8,),
        "w2": (6, 8, 1, 1),
        "b2": (6,),
        "slope": (6, 1, 1),
        "w3": (3, 6, 1, 1),
    }
    return parse(body, inputs="float[1,3,8,8] xs, float[1,3,8,8] xt", **(given | changed))
