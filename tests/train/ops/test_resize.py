"""Resizes beside the table of `op_cases`: own sampling and what is refused."""

import numpy as np
import pytest
import torch

from decig.train.ops.resize import resample
from tests.train.onnx_cases import assert_refused
from tests.train.op_case import IMAGE, x


@pytest.mark.parametrize(
    ("axis", "coordinates", "rounding"),
    [(2, "half_pixel", "round_prefer_floor"), (3, "asymmetric", None)],
)
def test_gradients_of_own_sampling(axis: int, coordinates: str, rounding: str | None) -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 4, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: resample(x, axis, 1.7, None, coordinates, rounding), image
    )


def test_nearest_and_linear_sampling_by_hand() -> None:
    row = torch.tensor([[0.0, 10.0, 20.0]])
    near = resample(row, 1, 2.0, None, "asymmetric", "floor")
    assert near.tolist() == [[0, 0, 10, 10, 20, 20]]
    assert resample(row, 1, 2.0, None, "asymmetric", None).tolist() == [[0, 5, 10, 15, 20, 20]]
    halves = resample(row, 1, 2.0, None, "half_pixel", None)
    np.testing.assert_allclose(halves, [[0, 2.5, 7.5, 12.5, 17.5, 20]])
    assert resample(row, 1, 2.0, 5, "align_corners", None).tolist() == [[0, 5, 10, 15, 20]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"antialias": 1, "mode": "linear"}, "antialias"),
        ({"mode": "cubic", "cubic_coeff_a": -0.5}, "torch's kernel"),
        ({"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop"),
    ],
)
def test_what_is_not_supported_is_refused(settings: dict, message: str) -> None:
    scales = {2: np.float32([1, 1, 0.5, 0.5])}
    assert_refused("Resize", x(*IMAGE), constants=scales, message=message, **settings)
