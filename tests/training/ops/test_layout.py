"""Moves of data beside the table of `op_cases`: own functions and what is refused."""

import numpy as np
import pytest
import torch

from decig.training.ops.layout import blocks_to_space, repeat, space_to_blocks, take
from tests.training.onnx_cases import assert_refused
from tests.training.op_case import IMAGE, ints, x

DOUBLE = {"dtype": torch.float64, "requires_grad": True}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: blocks_to_space(x, 2),
        lambda x: space_to_blocks(x, 2),
        lambda x: take(x, torch.tensor([[1, -1], [1, 0]]), 1),
    ],
)
def test_gradients_of_own_functions(function) -> None:
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(function, torch.randn(2, 4, 4, 6, **DOUBLE))


def test_blocks_go_to_space_and_back() -> None:
    image = torch.arange(2 * 8 * 3 * 4).reshape(2, 8, 3, 4)
    apart = blocks_to_space(image, 2)
    assert apart.shape == (2, 2, 6, 8)
    assert torch.equal(space_to_blocks(apart, 2), image)
    # The block's row and column lead the channels (DCR): channel 2 (2 i + j) + c goes to (i, j).
    assert apart[0, 1, 1, 0] == image[0, 2 * 2 + 1, 0, 0]


def test_indices_count_from_the_end_too() -> None:
    image = torch.arange(12).reshape(1, 4, 3)
    found = take(image, torch.tensor([[0, -1]]), 1)
    assert found.shape == (1, 1, 2, 3)
    assert torch.equal(found[0, 0], image[0, [0, 3]])


def test_one_image_is_repeated_over_a_batch() -> None:
    image = torch.arange(6).reshape(1, 2, 3)
    assert torch.equal(repeat(image, 4), image.expand(4, 2, 3))


def test_what_does_not_fit_is_refused() -> None:
    message = "in1 must be a constant"
    assert_refused("Reshape", x(*IMAGE), ints([2, 432]), message=message)
    assert np.prod(IMAGE) == 2 * 432
