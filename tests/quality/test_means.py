import numpy as np
import pytest

from decig.quality.means import PairMeans
from decig.quality.metrics import psnr, ssim
from decig.quality.multiscale import ms_ssim


def test_the_means_are_those_of_the_batch():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3, 176, 180, 3), np.float32)
    means = PairMeans()
    for one, other in zip(a, b, strict=True):
        means.add(one[None], other[None])
    found = means.result()
    assert len(means) == 3
    assert found.ssim == pytest.approx(ssim(a, b))
    assert found.ms_ssim == pytest.approx(ms_ssim(a, b))
    assert found.psnr_db == pytest.approx(psnr(a, b))


def test_small_pictures_have_no_multiscale_figure():
    means = PairMeans()
    means.add(np.zeros((1, 160, 200, 3)), np.zeros((1, 160, 200, 3)))
    assert means.result().ms_ssim is None
    assert means.result().ssim == pytest.approx(1)
