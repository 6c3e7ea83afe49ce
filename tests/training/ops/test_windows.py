"""Windows that slide over images."""

import pytest
import torch
from onnx import helper

from decig.training.ops.node import OpNode
from decig.training.ops.tracer import Tracer
from decig.training.ops.windows import Window, pad_same, same_pads
from decig.training.trainable.module import build_module
from tests.training.onnx_cases import assert_parity, one_node, run_ort
from tests.training.op_case import x


def window(**attributes: object) -> Window:
    proto = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    return Window.of(OpNode(proto, 18, Tracer(), {}), (3, 2))


def test_attributes_and_their_defaults() -> None:
    assert window() == Window((3, 2), (1, 1), (1, 1), [(0, 0), (0, 0)], "NOTSET")
    found = window(pads=[1, 2, 3, 4], strides=[2, 1], dilations=[1, 3])
    assert found.pads == [(1, 3), (2, 4)] and found.strides == (2, 1)
    assert found.extents == (3, 4)
    assert window(pads=[1, 2, 3, 4], auto_pad="SAME_LOWER").pads == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("size", "extent", "stride", "pads"),
    [(8, 3, 1, (1, 1)), (8, 3, 2, (0, 1)), (7, 3, 2, (1, 1)), (8, 4, 1, (1, 2)), (8, 1, 2, (0, 0))],
)
def test_as_many_windows_fit_as_the_stride_divides(
    size: int, extent: int, stride: int, pads: tuple[int, int]
) -> None:
    assert same_pads((size,), (extent,), (stride,), lower=False) == [pads]
    assert same_pads((size,), (extent,), (stride,), lower=True) == [pads[::-1]]
    padded = pad_same(torch.ones(1, 1, size), (extent,), (stride,), False, 0.0)
    assert (padded.shape[2] - extent) // stride + 1 == -(-size // stride)
    assert padded.sum() == size


def test_gradients_through_padding() -> None:
    image = torch.randn(2, 4, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pad_same(x, (3, 3), (2, 2), False, 0.0), image)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
def test_a_stride_pads_each_size_as_it_divides_it(mode: str) -> None:
    declared, weight = x(1, 2, 8, 8), x(3, 2, 3, 3)
    settings = {"constants": {1: weight}, "strides": [2, 2], "auto_pad": mode}
    assert_parity(one_node("Conv", declared, **settings), declared)
    module = build_module(one_node("Conv", declared, **settings)).eval()
    odd = x(1, 2, 7, 9)
    with torch.no_grad():
        found = module(torch.from_numpy(odd))[0]
    (wanted,) = run_ort(one_node("Conv", odd, **settings), odd)
    torch.testing.assert_close(found, torch.from_numpy(wanted), atol=1e-5, rtol=1e-5)
