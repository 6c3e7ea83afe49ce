"""Pad beside the table of `op_cases`: every mode on every axis of every rank."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decig.errors import BadInputError
from decig.training.ops.pad import extend
from decig.training.trainable.module import build_module
from tests.training.onnx_cases import assert_parity, assert_refused, one_node
from tests.training.op_case import IMAGE, ints, x

MODES = ("edge", "reflect", "wrap")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", range(1, 7))
def test_every_axis_of_every_rank(mode: str, rank: int) -> None:
    shape = (2, 3, 4, 5, 3, 2)[:rank]
    image = x(*shape)
    for axis in range(rank):
        pads = np.zeros((2, rank), np.int64)
        pads[0, axis], pads[1, axis] = 1, shape[axis] - 1
        proto = one_node("Pad", image, constants={1: pads.ravel()}, mode=mode, opset=19)
        assert_parity(proto, image)
    every = np.array([n - 1 for n in shape] * 2)
    assert_parity(one_node("Pad", image, constants={1: every}, mode=mode, opset=19), image)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_amounts_equal_those_of_numpy(data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(MODES))
    shape = data.draw(st.lists(st.integers(2, 5), min_size=1, max_size=6))
    dtype = data.draw(st.sampled_from([torch.float32, torch.int64, torch.bool]))
    most = [n - 1 if mode == "reflect" else 7 for n in shape]
    grown = [tuple(data.draw(st.integers(0, top)) for _ in range(2)) for top in most]
    array = torch.arange(int(np.prod(shape))).reshape(shape).to(dtype)
    borders = tuple((axis, *pair) for axis, pair in enumerate(grown) if any(pair))
    wanted = np.pad(array.numpy(), grown, mode=mode)
    assert np.array_equal(extend(array, borders, mode).numpy(), wanted)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axes", [(1, 2), (2, 3), (0,), (1, 3), (0, 1, 2, 3)])
def test_gradients(mode: str, axes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    borders = tuple((axis, 1, 1) for axis in axes)
    assert torch.autograd.gradcheck(lambda value: extend(value, borders, mode), image)


def test_more_images_in_the_batch_tie_the_module_to_it() -> None:
    image = x(1, 3, 4, 4)
    pads = ints([1, 0, 0, 0, 0, 0, 0, 0])
    module = build_module(one_node("Pad", image, constants={1: pads}, mode="edge"))
    with pytest.raises(BadInputError, match="axis 0 must be 1, not 2"):
        module(torch.zeros(2, 3, 4, 4))


def test_a_mode_that_is_not_known_is_refused() -> None:
    pads = {1: ints([0, 1, 0, 0] * 2)}
    assert_refused("Pad", x(*IMAGE), constants=pads, mode="mirror", message="mode mirror")
