"""Sampling one axis, by hand and against finite differences."""

import numpy as np
import pytest
import torch

from decig.training.ops.sampling import Kernel, blend, resample


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


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("cubic", [False, True])
@pytest.mark.parametrize("axis", range(3))
def test_gradients_of_kernels(axis: int, cubic: bool, antialias: bool) -> None:
    torch.manual_seed(0)
    image = torch.randn(4, 5, 6, dtype=torch.float64, requires_grad=True)
    kernel = {"cubic": cubic, "antialias": antialias}
    assert torch.autograd.gradcheck(
        lambda x: blend(x, axis, 0.6, None, "half_pixel", **kernel), image
    )


def test_kernels_by_hand() -> None:
    distance = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0])
    assert Kernel(cubic=False).weigh(distance).tolist() == [1, 0.5, 0, 0, 0]
    # Catmull-Rom, a = -1/2: 9/16 and -1/16 half way between two elements.
    assert Kernel(cubic=True, a=-0.5).weigh(distance).tolist() == [1, 0.5625, 0, -0.0625, 0]


def test_making_smaller_without_aliasing_takes_means() -> None:
    row = torch.tensor([[0.0, 8.0, 0.0, 8.0, 0.0, 8.0, 0.0, 8.0]])
    small = blend(row, 1, 0.5, None, "half_pixel", cubic=False, antialias=True)
    # Weights 1/8, 3/8, 3/8, 1/8 around each place; outside, the border repeated.
    assert small.tolist() == [[3, 4, 4, 5]]


@pytest.mark.parametrize("exclude_outside", [False, True])
def test_a_constant_stays_what_it_is(exclude_outside: bool) -> None:
    for cubic, antialias in ((False, True), (True, False), (True, True)):
        ones = torch.ones(2, 7, dtype=torch.float64)
        kernel = {"cubic": cubic, "antialias": antialias, "exclude_outside": exclude_outside}
        found = blend(ones, 1, 0.4, 3, "half_pixel", **kernel)
        np.testing.assert_allclose(found, np.ones((2, 3)), rtol=1e-12)
