import numpy as np
import onnx
import pytest

from decig.deploy.judges.lpips import Lpips
from decig.errors import BadInputError
from tests.deploy.judges.networks import VGG, write_distance, write_features, write_torchscript
from tests.graph.tiny import parse


def _pair() -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)) / 255
    return a.astype(np.float32), b.astype(np.float32)


def test_the_distance_that_a_network_of_two_pictures_gives(tmp_path):
    lpips, (a, b) = Lpips(write_distance(tmp_path / "alex.onnx"), (16, 16)), _pair()
    assert lpips(a, a) == 0
    assert lpips(a, b) == pytest.approx(255 * np.abs(a - b).mean(), rel=1e-5)
    assert lpips.to_dict()["network"] == "alex.onnx"
    assert lpips.to_dict()["size"] is None
    assert "by alex.onnx" in str(lpips)


@pytest.mark.train
def test_the_squared_distance_of_weighted_features(tmp_path):
    path = write_torchscript(tmp_path / "vgg16.pt", VGG, tmp_path)
    lpips, (a, b) = Lpips(path, (16, 16)), _pair()
    assert lpips(a, a) == 0
    assert lpips(a, b) == pytest.approx(np.square(255 * (a - b)).mean(), rel=1e-5)


def test_pictures_that_hold_no_numbers_have_no_distance(tmp_path):
    lpips, (a, b) = Lpips(write_distance(tmp_path / "alex.onnx"), (16, 16)), _pair()
    a[0, 0] = np.nan
    assert np.isnan(lpips(a, b))
    assert np.isnan(lpips(b, a))


def test_networks_of_something_else_are_refused(tmp_path):
    with pytest.raises(BadInputError, match="takes 1 pictures; LPIPS takes two"):
        Lpips(write_features(tmp_path / "one.onnx"), (16, 16))
    inputs = "float[1,3,h,w] a, float[1,3,h,w] b"
    onnx.save(
        parse("y = Sub(a, b)", inputs=inputs, outputs="float[1,3,h,w] y"), tmp_path / "d.onnx"
    )
    with pytest.raises(BadInputError, match="gives 1x3x16x16 for two pictures; a distance is one"):
        Lpips(tmp_path / "d.onnx", (16, 16))
