"""Elementwise operators beside the table of `op_cases`: what their constants become."""

import numpy as np
import pytest
import torch

from decig.training.trainable.module import build_module
from tests.training.onnx_cases import (
    assert_parity,
    one_node,
    parsed,
    run_ort,
)
from tests.training.op_case import x

IMAGE = x(1, 3, 4, 5)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((), "number"),
        ((1, 1), "number"),
        ((3, 1, 1), "parameter"),
        ((1, 3, 1, 1), "parameter"),
        ((4, 5), "buffer"),
        ((3, 4, 5), "buffer"),
    ],
)
def test_a_number_a_channel_trains_and_a_map_does_not(shape: tuple[int, ...], kind: str) -> None:
    proto = one_node("Mul", IMAGE, constants={1: x(*shape)})
    module = build_module(proto)
    found = {
        "parameter": [name for name, _ in module.named_parameters()],
        "buffer": [name for name, _ in module.named_buffers()],
    }
    assert found == {name: ["in1"] if name == kind else [] for name in found}
    (wanted,) = run_ort(proto, IMAGE)
    np.testing.assert_allclose(module(torch.from_numpy(IMAGE))[0].detach(), wanted, rtol=1e-6)


def test_a_number_of_more_axes_widens() -> None:
    proto = one_node("Add", IMAGE, constants={1: x(1, 1, 1, 1, 1)})
    assert build_module(proto)(torch.from_numpy(IMAGE))[0].shape == (1, 1, 3, 4, 5)


@pytest.mark.parametrize("body", ["y = Clip(x, l, h)", "y = Clip(x, h, l)", "y = Clip(x, l)"])
def test_bounds_may_be_computed(body: str) -> None:
    image = x(1, 3, 4, 4)
    text = f"l = ReduceMean<keepdims=0>(x) {body}"
    used = {"h": np.float32(0.3)} if "h" in body.split("Clip")[1] else {}
    proto = parsed(text, image.shape, **used)
    assert_parity(proto, image)
