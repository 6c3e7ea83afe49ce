import numpy as np
import onnx
import pytest

from decig.deploy.judges import features
from decig.deploy.judges.features import FileFeatures, digest
from decig.errors import BadInputError
from decig.quality.features import FeatureSet
from decig.quality.protocol import compare_sets
from tests.deploy.judges.networks import (
    INCEPTION,
    write_distance,
    write_features,
    write_torchscript,
)
from tests.graph.tiny import parse


def _picture(seed: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size, 3), np.float32)


def test_features_of_an_onnx_network(tmp_path):
    path = write_features(tmp_path / "net.onnx")
    network, picture = FileFeatures(path, (16, 16)), _picture(0)
    rounded = np.round(picture * 255)
    wanted = np.concatenate([rounded.mean((0, 1)), rounded.max((0, 1))])
    np.testing.assert_allclose(network.whole(picture), wanted, rtol=1e-5)
    assert (network.kind.count, network.kind.fid) == (6, False)
    assert network.kind.sha256 == digest(path)
    assert "net.onnx, 6 outputs" in network.kind.features
    assert "at the size of the model" in network.kind.scaling


def test_pictures_are_scaled_to_the_size_of_a_network(tmp_path):
    network = FileFeatures(write_features(tmp_path / "net.onnx", 8, 8), (16, 16))
    assert (network.kind.size, "scaled to 8x8" in network.kind.scaling) == ((8, 8), True)
    flat = np.full((16, 16, 3), 0.4, np.float32)
    np.testing.assert_allclose(network.whole(flat), [102] * 6)


def test_pictures_that_hold_no_numbers_have_no_features(tmp_path):
    broken = _picture(0)
    broken[3, 3] = np.nan
    network = FileFeatures(write_features(tmp_path / "net.onnx"), (16, 16))
    assert np.isnan(network.whole(broken)).all()


@pytest.mark.train
def test_the_network_of_fid_is_known_by_its_digest(tmp_path, monkeypatch):
    path = write_torchscript(tmp_path / "inception.pt", INCEPTION, tmp_path)
    other = FileFeatures(path, (16, 16))
    monkeypatch.setattr(features, "FID_SHA256", digest(path))
    fid = FileFeatures(path, (16, 16))
    np.testing.assert_allclose(fid.whole(_picture(0)), other.whole(_picture(0)))
    for network, name in ((other, "frechet_distance"), (fid, "fid")):
        taken, wanted = FeatureSet(network), FeatureSet(network)
        for seed in range(3):
            taken.add(_picture(seed))
            wanted.add(_picture(seed) / 2)
        found = compare_sets(taken, wanted, [])
        assert list(found.figures) == ["kid", "kid_standard_error", name]
        assert found.figures[name] > 0
        assert found.protocol.to_dict()["sha256"] == digest(path)
    assert "StyleGAN3" in fid.kind.comparable
    assert "same file only" in other.kind.comparable


def test_networks_of_something_else_are_refused(tmp_path):
    with pytest.raises(BadInputError, match="takes 2 pictures; a network of features takes one"):
        FileFeatures(write_distance(tmp_path / "two.onnx"), (16, 16))
    proto = parse("y = Neg(x)", inputs="float[1,3,h,w] x", outputs="float[1,3,h,w] y")
    onnx.save(proto, tmp_path / "map.onnx")
    with pytest.raises(BadInputError, match="gives 1x3x16x16 for a picture; features are 1xN"):
        FileFeatures(tmp_path / "map.onnx", (16, 16))
