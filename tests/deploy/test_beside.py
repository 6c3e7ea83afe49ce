import numpy as np
import pytest

from decig.data.pixels import PixelFormat
from decig.deploy.beside import Beside

UNIT = PixelFormat((0.0, 1.0), (0.0, 1.0))


def test_an_output_of_whole_numbers_has_a_range_too():
    values = np.random.default_rng(0).integers(0, 9, (1, 1, 16, 16), np.uint8)
    assert compared(values)["ssim"] == pytest.approx(1.0)


def compared(values: np.ndarray) -> dict[str, object]:
    made = Beside("mask", 0, UNIT)
    made.add([values], [values])
    return made.figures()


def test_an_output_in_a_range_of_its_own_is_compared_in_that():
    values = np.random.default_rng(0).normal(0, 40, (1, 3, 16, 16)).astype(np.float32)
    found = compared(values)
    assert found["ssim"] == pytest.approx(1.0)
    assert found["range"] == [float(values.min()), float(values.max())]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e17])
@pytest.mark.parametrize("whole", [False, True])
def test_values_that_are_no_range_are_no_error(value: float, whole: bool):
    """Whether the pictures of a model are numbers is for the check to say, with the node."""
    values = np.random.default_rng(0).uniform(0, 1, (1, 3, 16, 16)).astype(np.float32)
    values[..., : 16 if whole else 4] = value
    assert set(compared(values)) >= {"ssim", "psnr_db"}
