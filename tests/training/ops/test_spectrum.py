"""Fourier transforms beside the table of `op_cases`."""

import numpy as np
import pytest
import torch

from decig.errors import BadInputError
from decig.training.ops.spectrum import transform
from decig.training.trainable.module import build_module, takes_batches
from tests.training.onnx_cases import assert_refused, one_node
from tests.training.op_case import x

DOUBLE = {"dtype": torch.float64, "requires_grad": True}


@pytest.mark.parametrize("length", [None, 5, 8])
@pytest.mark.parametrize(
    ("parts", "inverse", "onesided"), [(1, False, True), (1, False, False), (2, True, False)]
)
def test_gradients(parts: int, inverse: bool, onesided: bool, length: int | None) -> None:
    torch.manual_seed(0)
    signal = torch.randn(2, 6, parts, **DOUBLE)
    assert torch.autograd.gradcheck(
        lambda value: transform(value, 1, length, inverse, onesided), signal
    )


@pytest.mark.parametrize("size", [6, 7])
def test_half_a_spectrum_gives_the_signal_back(size: int) -> None:
    torch.manual_seed(0)
    signal = torch.randn(3, size, 4, 1, **DOUBLE)
    half = transform(signal, 1, None, inverse=False, onesided=True)
    assert half.shape == (3, size // 2 + 1, 4, 2)
    torch.testing.assert_close(transform(half, 1, size, inverse=True, onesided=True), signal)
    assert torch.autograd.gradcheck(lambda h: transform(h, 1, size, True, True), half)


def test_the_module_is_tied_to_the_size_and_not_to_the_batch() -> None:
    proto = one_node("DFT", x(1, 2, 8, 8, 1), constants={2: np.int64(2)}, opset=20)
    module = build_module(proto)
    assert takes_batches(module)
    assert module(torch.zeros(3, 2, 8, 8, 1))[0].shape == (3, 2, 8, 8, 2)
    with pytest.raises(BadInputError, match="axis 2 must be 8, not 16"):
        module(torch.zeros(1, 2, 16, 16, 1))


def test_half_a_spectrum_of_another_length_is_refused() -> None:
    constants = {1: np.int64(12), 2: np.int64(1)}
    message = "half a spectrum of 5 values gives 8, not 12"
    settings = {"opset": 20, "inverse": 1, "onesided": 1}
    assert_refused("DFT", x(2, 5, 7, 2), constants=constants, message=message, **settings)
