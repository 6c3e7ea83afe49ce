import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from decig.deploy.check import Tolerances, check
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.source.resolve import resolve
from decig.source.source import PixelFlags
from tests.samples import write_generator, write_photos

FLAGS = PixelFlags((0.0, 1.0), (0.0, 1.0), None, "rgb")


@pytest.fixture
def folder(tmp_path):
    return write_photos(tmp_path / "photos")


def test_figures_of_two_models(tmp_path, folder):
    one = resolve(str(write_generator(tmp_path / "a.onnx")), FLAGS)
    other = resolve(str(write_generator(tmp_path / "b.onnx", seed=1)), FLAGS)
    verdict = check(one, other, folder, Device.of(), Tolerances())
    assert verdict.likeness.pairs.ssim < 0.99
    assert verdict.macs["reference"] == verdict.macs["candidate"]
    assert verdict.failures == []


def test_pictures_that_are_no_numbers_never_pass(tmp_path, folder):
    path = write_generator(tmp_path / "a.onnx")
    broken = onnx.load(path)
    bias = next(t for t in broken.graph.initializer if t.name == "head.bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(3, np.nan, np.float32), "head.bias"))
    onnx.save(broken, tmp_path / "b.onnx")
    sources = resolve(str(tmp_path / "b.onnx"), FLAGS), resolve(str(path), FLAGS)
    verdict = check(*sources, folder, Device.of(), Tolerances())
    assert verdict.failures == ["the candidate's pictures hold values that are no numbers"]


def test_what_one_model_knows_of_its_pixels_goes_for_both(tmp_path, folder):
    path = str(write_generator(tmp_path / "a.onnx"))
    verdict = check(resolve(path), resolve(path, FLAGS), folder, Device.of(), Tolerances())
    assert verdict.likeness.pairs.psnr_db == pytest.approx(100)


def test_models_may_differ_in_their_pixels(tmp_path, folder):
    path = str(write_generator(tmp_path / "a.onnx"))
    darker = PixelFlags((0.0, 1.0), (0.0, 2.0), None, "rgb")
    one, other = resolve(path, FLAGS), resolve(path, darker)
    verdict = check(one, other, folder, Device.of(), Tolerances(min_psnr_db=50))
    assert verdict.likeness.pairs.psnr_db < 50
    assert len(verdict.failures) == 1


def test_sizes_must_agree(tmp_path, folder):
    one = resolve(str(write_generator(tmp_path / "a.onnx")), FLAGS)
    other = resolve(str(write_generator(tmp_path / "b.onnx", size=28)), FLAGS)
    with pytest.raises(BadInputError, match=r"a\.onnx takes 1x3x24x24, but .*b\.onnx takes"):
        check(one, other, folder, Device.of(), Tolerances())


def test_the_grid_holds_input_reference_and_candidate(tmp_path, folder):
    one = resolve(str(write_generator(tmp_path / "a.onnx")), FLAGS)
    grid = tmp_path / "grid.png"
    check(one, one, folder, Device.of(), Tolerances(), grid)
    with Image.open(grid) as picture:
        pixels = np.array(picture.convert("RGB"))
    bottom = pixels[-28:-4]
    reference, candidate = bottom[:, 4 + 28 : 28 + 28], bottom[:, 4 + 56 : 28 + 56]
    assert reference.shape == (24, 24, 3)
    np.testing.assert_array_equal(reference, candidate)
