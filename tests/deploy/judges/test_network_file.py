import sys

import numpy as np
import onnx
import pytest

from decig.deploy.judges.network_file import as_bytes, grey, open_network
from decig.errors import BadInputError
from tests.deploy.judges.networks import (
    INCEPTION,
    write_distance,
    write_features,
    write_torchscript,
)
from tests.graph.tiny import parse


def test_an_onnx_network_of_any_size(tmp_path):
    network = open_network(write_features(tmp_path / "net.onnx"), "--inception")
    assert (network.size, network.pictures, network.options) == (None, 1, frozenset())
    picture = np.zeros((1, 3, 5, 7), np.uint8)
    picture[0, 1, 2, 3] = 70
    np.testing.assert_allclose(network(picture).reshape(-1), [0, 2, 0, 0, 70, 0])


def test_an_onnx_network_of_one_size_and_one_of_two_pictures(tmp_path):
    assert open_network(write_features(tmp_path / "n.onnx", 8, 12), "--inception").size == (8, 12)
    distance = open_network(write_distance(tmp_path / "d.onnx"), "--lpips")
    assert distance.pictures == 2
    assert distance(grey((4, 4)), np.zeros((1, 3, 4, 4), np.uint8)) == 128


def test_an_onnx_network_may_take_bytes(tmp_path):
    proto = parse(
        "f = Cast<to=1>(x)\nm = GlobalAveragePool(f)",
        inputs="uint8[1,3,h,w] x",
        outputs="float[1,3,1,1] m",
    )
    onnx.save(proto, tmp_path / "net.onnx")
    assert open_network(tmp_path / "net.onnx", "--inception")(grey((4, 4))).max() == 128


@pytest.mark.train
def test_torchscript_says_what_may_be_asked_of_it(tmp_path):
    network = open_network(write_torchscript(tmp_path / "i.pt", INCEPTION, tmp_path), "--inception")
    assert network.pictures == 1
    assert network.options == {"return_features", "use_fp16"}
    assert network(grey((4, 4)), return_features=True).shape == (1, 6)
    assert network(grey((4, 4))).shape == (1, 1)


@pytest.mark.train
def test_torchscript_that_gives_no_tensor_or_fails(tmp_path):
    several = "def forward(self, x: torch.Tensor):\n    return x, x"
    network = open_network(write_torchscript(tmp_path / "a.pt", several, tmp_path), "--lpips")
    with pytest.raises(BadInputError, match=r"a\.pt: gives a tuple; a tensor is wanted"):
        network(grey((4, 4)))
    fails = "def forward(self, x: torch.Tensor):\n    return x.reshape(1, 3, 7)"
    network = open_network(write_torchscript(tmp_path / "b.pt", fails, tmp_path), "--lpips")
    with pytest.raises(BadInputError, match=r"b\.pt: cannot run on 1x3x4x4: .*\S") as caught:
        network(grey((4, 4)))
    assert "\n" not in str(caught.value)


@pytest.mark.train
def test_weights_alone_are_no_network(tmp_path):
    import torch

    torch.save({"weight": torch.zeros(3)}, tmp_path / "w.pth")
    (tmp_path / "n.pt").write_bytes(b"nothing")
    for name in ("w.pth", "n.pt"):
        with pytest.raises(BadInputError, match=f"{name}: neither ONNX nor TorchScript"):
            open_network(tmp_path / name, "--inception")


def test_files_that_take_or_give_something_else(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(BadInputError, match=r"broken\.onnx"):
        open_network(tmp_path / "broken.onnx", "--inception")
    for inputs, text, outputs, reason in (
        ("float[1,h,w,3] x", "y = Identity(x)", "float[1,h,w,3] y", "wanted are pictures"),
        ("int64[1,3,h,w] x", "y = Identity(x)", "int64[1,3,h,w] y", "wanted are pictures"),
        ("float[4,3,h,w] x", "y = Identity(x)", "float[4,3,h,w] y", "wanted are pictures"),
        ("float[1,3,8,w] x", "y = Identity(x)", "float[1,3,8,w] y", "neither of one size nor"),
        (
            "float[1,3,h,w] x",
            "y = Identity(x)\nz = Neg(x)",
            "float[1,3,h,w] y, float[1,3,h,w] z",
            "gives 2 outputs; one is wanted",
        ),
    ):
        onnx.save(parse(text, inputs=inputs, outputs=outputs), tmp_path / "net.onnx")
        with pytest.raises(BadInputError, match=reason):
            open_network(tmp_path / "net.onnx", "--inception")


def test_torchscript_without_pytorch_names_the_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "n.pt").write_bytes(b"")
    with pytest.raises(BadInputError, match=r"^--lpips .*n\.pt.* needs torch: pip install"):
        open_network(tmp_path / "n.pt", "--lpips")


def test_pictures_become_bytes(tmp_path):
    picture = np.array([[[0, 0.5, 1], [-1, 2, 0.2]]], np.float32)
    found = as_bytes(picture, None)
    assert found.shape == (1, 3, 1, 2)
    np.testing.assert_array_equal(found[0, :, 0].T, [[0, 128, 255], [0, 255, 51]])
    assert as_bytes(np.full((9, 7, 3), 0.2, np.float32), (4, 6)).shape == (1, 3, 4, 6)
