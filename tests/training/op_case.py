"""A one-node graph for an operator, as a row of a test's table."""

import numpy as np
import pytest

RNG = np.random.default_rng(0)


def x(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def apart(*shape: int) -> np.ndarray:
    """Numbers so far apart that no small step makes another one the largest."""
    count = int(np.prod(shape))
    return (RNG.permutation(count).reshape(shape) / 20 - count / 40).astype(np.float32)


def case(op_type, *inputs, at=None, opset=18, outputs=1, **attributes):
    """One row: live inputs, constants by input slot, attributes."""
    label = "-".join([op_type, str(opset), *(f"{k}={v}" for k, v in attributes.items())])
    arguments = {"constants": at, "opset": opset, "outputs": outputs, **attributes}
    return pytest.param(op_type, inputs, arguments, id=label.replace(" ", ""))


IMAGE = (2, 6, 9, 8)
ints = np.array
