"""Pools beside the table of `op_cases`: sizes, gradients, the way back, what is refused."""

import numpy as np
import pytest
import torch

from decig.training.ops.pools import (
    Pool,
    max_and_place,
    max_of_windows,
    mean_of_windows,
    norm_of_windows,
)
from decig.training.trainable.module import build_module
from tests.training.onnx_cases import assert_close, assert_refused, one_node, parsed, run_ort
from tests.training.op_case import IMAGE, x

ODD = Pool((2, 3), (2, 2), (2, 1), ((1, 0), (1, 2)), ceil=True)


def fields(pool: Pool) -> tuple:
    return pool.kernel, pool.strides, pool.dilations, pool.pads, pool.auto_pad, pool.ceil


def test_borders_by_hand() -> None:
    # 8 elements, windows of 2 every 2: one of padding at the end makes no window of its own.
    assert Pool((2,), (2,), (1,), ((0, 1),), ceil=True).borders([8]) == ([(0, 1)], [-1])
    assert Pool((3,), (2,), (1,), ((0, 0),), ceil=True).borders([8]) == ([(0, 0)], [1])
    assert Pool((3,), (2,), (1,), ((0, 0),)).borders([8]) == ([(0, 0)], [-1])
    assert Pool((3,), (2,), (1,), ((0, 0),), "SAME_LOWER").borders([8]) == ([(1, 0)], [0])


def test_what_lies_behind_the_padding_does_not_count() -> None:
    picture = torch.ones(1, 1, 4)
    pool = Pool((3,), (3,), (1,), ((1, 0),), ceil=True)
    assert pool.counted(picture, count_pads=True).tolist() == [[[3, 2]]]
    assert pool.counted(picture, count_pads=False).tolist() == [[[2, 2]]]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: max_of_windows(x, *fields(ODD)),
        lambda x: max_and_place(x, *fields(ODD))[0],
        lambda x: mean_of_windows(x, False, *fields(ODD)),
        lambda x: mean_of_windows(x, True, *fields(ODD)),
        lambda x: norm_of_windows(x, 2, *fields(ODD)),
        lambda x: norm_of_windows(x, 3, *fields(ODD)),
    ],
)
def test_gradients(function) -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, image)


def test_a_window_of_zeros_has_no_gradient() -> None:
    image = torch.zeros(1, 1, 4, 4, requires_grad=True)
    norm_of_windows(
        image, 2, *fields(Pool((2, 2), (2, 2), (1, 1), ((0, 0), (0, 0))))
    ).sum().backward()
    assert torch.equal(image.grad, torch.zeros(1, 1, 4, 4))


def test_maxima_go_back_to_their_places() -> None:
    text = """
        m, i = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
        y = MaxUnpool <kernel_shape = [2, 2], strides = [2, 2]> (m, i)
    """
    proto, images = parsed(text, (1, 3, 6, 8)), x(2, 3, 12, 4)
    with torch.no_grad():
        found = build_module(proto)(torch.from_numpy(images))[0].numpy()
    assert_close(found, run_ort(parsed(text, (2, 3, 12, 4)), images)[0])
    assert np.count_nonzero(found) == images.size / 4


def test_windows_that_stick_out_follow_the_size() -> None:
    settings = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [0, 0, 1, 1], "ceil_mode": 1}
    declared, other = x(1, 2, 8, 6), x(3, 2, 5, 9)
    for kind in ("MaxPool", "AveragePool", "LpPool"):
        module = build_module(one_node(kind, declared, **settings))
        with torch.no_grad():
            found = module(torch.from_numpy(other))[0].numpy()
        assert_close(found, run_ort(one_node(kind, other, **settings), other)[0])


@pytest.mark.parametrize(
    ("op_type", "inputs", "arguments", "message"),
    [
        ("MaxPool", [x(*IMAGE)], {"outputs": 2, "storage_order": 1}, "column-major"),
        ("MaxPool", [x(1, 1, 2, 2, 2, 2)], {"kernel_shape": [1] * 4}, "1 to 3 are supported"),
        (
            "MaxUnpool",
            [x(1, 1, 2, 2), np.zeros((1, 1, 2, 2), np.int64)],
            {"constants": {2: np.array([1, 1, 5, 5])}, "strides": [2, 2]},
            "a given output shape",
        ),
    ],
)
def test_what_is_not_supported_is_refused(op_type, inputs, arguments, message) -> None:
    arguments = {"kernel_shape": [2, 2], **arguments}
    assert_refused(op_type, *inputs, message=message, **arguments)
