"""Reductions beside the table of `op_cases`: the images of a batch stay apart."""

import numpy as np
import pytest
import torch

from decig.training.trainable.module import build_module
from tests.training.onnx_cases import (
    one_node,
    run_ort,
)
from tests.training.op_case import (
    ints,
    x,
)


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
