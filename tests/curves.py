"""A model like Zero-DCE: an intermediate picture first, the result second, its curves third."""

from pathlib import Path

import numpy as np
import onnx

from tests.graph.tiny import parse

_BODY = """
    [stem] a = Conv<pads=[1,1,1,1]>(image, w1)
    r = Relu(a)
    [head] h = Conv<pads=[1,1,1,1]>(r, w2)
    curves = Tanh(h)
    c1, c2 = Split<axis=1>(curves, halves)
    s1 = Mul(image, image)
    d1 = Sub(s1, image)
    m1 = Mul(d1, c1)
    halfway = Add(image, m1)
    s2 = Mul(halfway, halfway)
    d2 = Sub(s2, halfway)
    m2 = Mul(d2, c2)
    final = Add(halfway, m2)
"""
"""x + a (x^2 - x), twice: pictures stay between 0 and 1 for images that are."""


def write_curves(path: Path, names: tuple[str, str, str] = ("halfway", "final", "curves")) -> Path:
    """Write the model; its outputs get these names."""
    size = "24,24"
    outputs = [f"float[1,{3 if place < 2 else 6},{size}] {n}" for place, n in enumerate(names)]
    body = _BODY
    for old, new in zip(("halfway", "final", "curves"), names, strict=True):
        body = body.replace(old, new)
    rng = np.random.default_rng(3)
    proto = parse(
        body,
        inputs=f"float[1,3,{size}] image",
        outputs=", ".join(outputs),
        w1=rng.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32),
        w2=rng.normal(0, 0.3, (6, 8, 3, 3)).astype(np.float32),
        halves=[3, 3],
    )
    onnx.save(proto, path)
    return path
