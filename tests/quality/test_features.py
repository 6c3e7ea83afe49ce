import sys
from pathlib import Path

import numpy as np
import pytest

from decig.data.crops import fit
from decig.data.images import read_image
from decig.errors import BadInputError
from decig.quality import features
from decig.quality.features import COUNT, FeatureNetwork, FeatureSet


@pytest.fixture(scope="module")
def network():
    if (package := features.lacking()) is not None:
        pytest.skip(f"needs {package}: pip install 'decig[quality]'")
    return FeatureNetwork()


def _squares(seed: int, count: int = 8, size: int = 16) -> np.ndarray:
    """A picture H,W,3 of random squares."""
    coarse = np.random.default_rng(seed).random((count, count, 3), np.float32)
    return coarse.repeat(size, axis=0).repeat(size, axis=1)


def _photo(shared_data: Path, name: str) -> np.ndarray:
    return read_image(shared_data / "photos" / "val" / name).astype(np.float32) / 255


def test_features_of_a_whole_picture(network):
    one, other = network.whole(_squares(0)), network.whole(_squares(1))
    assert one.shape == (COUNT,)
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert np.abs(one - other).max() > 0.1


def test_the_network_knows_what_is_in_a_photo(network, shared_data):
    # Its own answer, through the classifier, on the pixels that `whole` gives it.
    torch = network._torch
    kinds = {}
    for name in ("102061.jpg", "103070.jpg"):
        picture = _photo(shared_data, name)
        with torch.inference_mode():
            answer = network._net._fc(torch.from_numpy(network.whole(picture))[None])
        kinds[name] = int(answer.argmax())
    assert kinds == {"102061.jpg": 483, "103070.jpg": 145}  # ImageNet: castle, king penguin


def test_the_size_of_a_picture_hardly_matters(network, shared_data):
    whole = [_photo(shared_data, name) for name in ("102061.jpg", "103070.jpg")]
    half = fit(np.round(whole[0] * 255).astype(np.uint8), 240, 240).astype(np.float32) / 255
    small, large, other = (network.whole(picture) for picture in (half, whole[0], whole[1]))
    assert np.abs(small - large).mean() < 0.5 * np.abs(small - other).mean()


def test_features_at_positions_have_unit_length(network):
    found = network.positions(_squares(0))
    assert [tuple(each.shape[2:]) for each in found] == [(64 >> i, 64 >> i) for i in range(5)]
    for each in found:
        assert np.allclose(each.square().sum(1).numpy(), 1, atol=1e-4)


def test_a_set_keeps_the_features_of_its_pictures(network):
    taken = FeatureSet(network)
    assert taken.array().shape == (0, COUNT)
    for seed in range(2):
        taken.add(_squares(seed))
    assert len(taken) == 2
    np.testing.assert_array_equal(taken.array()[1], network.whole(_squares(1)))


def test_pictures_that_hold_no_numbers(network):
    broken = _squares(0)
    broken[0, 0] = np.nan
    assert np.isnan(network.whole(broken)).any()


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    assert features.lacking() is not None
    with pytest.raises(BadInputError, match=r"needs \w+: pip install 'decig\[quality\]'"):
        FeatureNetwork()
    with pytest.raises(BadInputError, match=r"^--max-kid needs"):
        features.require_features("--max-kid")
