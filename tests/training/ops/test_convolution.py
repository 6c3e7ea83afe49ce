"""Convolutions beside the table of `op_cases`: what is refused, and how groups train."""

import numpy as np
import pytest
import torch

from decig.training.trainable.module import build_module
from tests.training.onnx_cases import assert_parity, assert_refused, one_node
from tests.training.op_case import x


def test_what_torch_has_no_function_for_is_refused() -> None:
    constants = {1: x(2, 2, 1, 1, 1, 1)}
    message = "4 spatial axes; 1 to 3"
    assert_refused("Conv", x(1, 2, 3, 3, 3, 3), constants=constants, message=message)


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("pads", [[1, 0, 2, 1], [0, 2, 0, 0]])
def test_padding_may_differ_on_every_side(op_type: str, pads: list[int]) -> None:
    image = x(2, 4, 7, 8)
    proto = one_node(
        op_type, image, constants={1: x(4, 2, 3, 4), 2: x(4)},
        group=2, pads=pads, strides=[2, 1],
    )  # fmt: skip
    assert_parity(proto, image)


def test_weights_train_under_their_own_names() -> None:
    image = x(1, 4, 6, 6)
    proto = one_node("Conv", image, constants={1: x(6, 2, 3, 3), 2: x(6)}, group=2)
    module = build_module(proto)
    assert {name for name, _ in module.named_parameters()} == {"in1", "in2"}
    module(torch.from_numpy(image))[0].sum().backward()
    gradients = {name: p.grad for name, p in module.named_parameters()}
    assert torch.equal(gradients["in2"], torch.full((6,), 16.0))
    windows = np.lib.stride_tricks.sliding_window_view(image[0, 2:], (4, 4), axis=(1, 2))
    sums = windows.sum((3, 4)).ravel()
    np.testing.assert_allclose(gradients["in1"][5].ravel(), sums, rtol=1e-4)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
def test_kernels_that_are_smaller_than_their_stride_pad_nothing_by_themselves(auto_pad) -> None:
    """ONNX says 24 elements for 8 by a stride of 3, and ONNX Runtime makes 23."""
    message = "of a kernel smaller than its stride"
    constants, settings = {1: x(4, 5, 2, 2)}, {"auto_pad": auto_pad, "strides": [3, 3]}
    assert_refused("ConvTranspose", x(1, 4, 8, 8), constants=constants, message=message, **settings)
