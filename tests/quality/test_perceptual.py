import numpy as np
import pytest

from decig.quality import features
from decig.quality.perceptual import feature_distance


def test_blur_is_farther_than_nothing_and_nearer_than_another_picture():
    if (package := features.lacking()) is not None:
        pytest.skip(f"needs {package}: pip install 'decig[quality]'")
    network = features.FeatureNetwork()
    rng = np.random.default_rng(0)
    coarse = rng.random((2, 16, 16, 3), np.float32)
    a = coarse.repeat(8, axis=1).repeat(8, axis=2)
    blurred = (a + np.roll(a, 1, axis=1) + np.roll(a, 1, axis=2)) / 3
    assert feature_distance(network, a, a) == 0
    assert 0 < feature_distance(network, a, blurred) < feature_distance(network, a, a[::-1])
