from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.recipe import Recipe, Source

torch = pytest.importorskip("torch")

from decig.train.generator import build_generator, check_pictures, export_onnx  # noqa: E402

CODE = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, width):
        norm = nn.InstanceNorm2d(width, affine=True)
        super().__init__(nn.Conv2d(3, width, 3, padding=1), norm, nn.Conv2d(width, 3, 1))
def number(width):
    return width
"""


def _recipe(folder: Path, python: str, **arguments: int) -> Recipe:
    (folder / "net.py").write_text(CODE)
    pixels = PixelFormat((-1, 1), (-1, 1))
    return Recipe(folder, folder / "g.onnx", [1, 3, 32, 32], pixels, Source(python, arguments))


def test_class_is_built_with_its_arguments(tmp_path):
    assert build_generator(_recipe(tmp_path, "net.py:Net", width=5))[0].out_channels == 5


@pytest.mark.parametrize(
    ("python", "arguments", "message"),
    [
        ("absent.py:Net", {}, r"absent\.py: no such Python file"),
        ("net.py:Absent", {}, "has no class 'Absent'"),
        ("net.py:Net", {"depth": 2}, "unexpected keyword argument 'depth'"),
        ("net.py:number", {"width": 2}, "is no torch.nn.Module"),
    ],
)
def test_errors_name_the_file(tmp_path, python, arguments, message):
    with pytest.raises(BadInputError, match=message):
        build_generator(_recipe(tmp_path, python, **arguments))


def test_exported_file_computes_what_the_module_does(tmp_path):
    torch.manual_seed(0)
    net = build_generator(_recipe(tmp_path, "net.py:Net", width=5))
    export_onnx(net, [1, 3, 32, 32], tmp_path / "g.onnx")
    session = ort.InferenceSession(tmp_path / "g.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 32, 32]
    image = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    (output,) = session.run(["output"], {"input": image})
    with torch.no_grad():
        assert np.allclose(net(torch.from_numpy(image)).numpy(), output, atol=1e-5)


def test_nets_that_give_no_picture_are_refused():
    with pytest.raises(BadInputError, match="training needs"):
        check_pictures(torch.nn.Conv2d(3, 1, 3, padding=1), [1, 3, 32, 32])
    with pytest.raises(BadInputError, match="cannot take an input"):
        check_pictures(torch.nn.Conv2d(4, 3, 3, padding=1), [1, 3, 32, 32])
