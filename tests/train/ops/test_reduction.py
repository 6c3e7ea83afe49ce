"""Reductions beside the table of `op_cases`: what is refused, and batches that stay apart."""

import numpy as np
import pytest
import torch

from decig.train.module import build_module
from tests.train.onnx_cases import assert_refused, one_node, run_ort
from tests.train.op_case import IMAGE, ints, x


@pytest.mark.parametrize(
    ("op_type", "arguments", "message"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "outputs": 2}, "indices"),
        ("MaxPool", {"kernel_shape": [2, 2], "pads": [2] * 4}, "above half the kernel"),
        ("ArgMax", {"select_last_index": 1}, "select_last_index"),
        ("CumSum", {"constants": {1: ints(1)}, "reverse": 1}, "reverse"),
        ("Hardmax", {"opset": 11, "axis": 1}, "last axis"),
    ],
)
def test_what_is_not_supported_is_refused(op_type: str, arguments: dict, message: str) -> None:
    assert_refused(op_type, x(*IMAGE), message=message, **arguments)


@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceMax"])
def test_a_reduction_of_one_image_takes_each_image_of_a_batch_alone(op_type: str) -> None:
    one = x(1, 3, 4, 4)
    module = build_module(one_node(op_type, one, constants={1: ints([0, 2, 3])}))
    batch = x(5, 3, 4, 4)
    found = module(torch.from_numpy(batch))[0].numpy()
    proto = one_node(op_type, one, constants={1: ints([0, 2, 3])})
    for index in range(5):
        (wanted,) = run_ort(proto, batch[index : index + 1])
        np.testing.assert_allclose(found[index : index + 1], wanted, atol=1e-6)
