import numpy as np
import onnx
import pytest
from PIL import Image

from decig.deploy import check as module
from decig.deploy.check import check
from decig.deploy.tolerances import Tolerances
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.errors import BadInputError
from decig.source.resolve import resolve
from decig.source.source import PixelFlags
from decig.source.stamp import stamp
from tests.samples import write_broken, write_generator, write_photos
from tests.threads import FREE, watch_threads

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


def test_pictures_are_painted_on_free_threads_and_timed_on_those_asked_for(
    tmp_path, folder, monkeypatch
):
    opened = watch_threads(monkeypatch)
    source = resolve(str(write_generator(tmp_path / "a.onnx")), FLAGS)
    timed = []

    def measure(runs):
        timed.extend(runs.values())
        return {name: Latency(1.0, 0.0, 1.0, 4) for name in runs}

    monkeypatch.setattr(module, "measure_interleaved", measure)
    check(source, source, folder, Device.of(), Tolerances())
    assert opened == [1, FREE] * 2
    sessions = {run.args[0].get_session_options().intra_op_num_threads for run in timed}
    assert sessions == {1}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({}, ""), ({"cpu": "Some Phone"}, "cpu is 'Some Phone' there"), ({"cores": "many"}, "")],
)
def test_a_file_for_another_device_is_said_to_be_one(tmp_path, folder, caplog, changed, reason):
    source = resolve(str(write_generator(tmp_path / "a.onnx")), FLAGS)
    proto = onnx.load(tmp_path / "a.onnx")
    stamp(proto, {"device": Device.of().fingerprint().to_dict() | changed})
    onnx.save(proto, tmp_path / "b.onnx")
    candidate = resolve(str(tmp_path / "b.onnx"), FLAGS)
    found = check(candidate, source, folder, Device.of(), Tolerances()).to_dict()
    assert ("warnings" in found) is bool(reason)
    assert reason in "".join(found.get("warnings", []))
    assert ("exported for another device" in caplog.text) is bool(reason)


def test_pictures_that_are_no_numbers_never_pass(tmp_path, folder):
    path = write_generator(tmp_path / "a.onnx")
    write_broken(tmp_path / "b.onnx")
    good, broken = (resolve(str(p), FLAGS) for p in (path, tmp_path / "b.onnx"))
    what = "pictures hold values that are no numbers: node norm1 (BatchNormalization) computes NaN"
    verdict = check(broken, good, folder, Device.of(), Tolerances())
    assert verdict.failures == [f"the candidate's {what}"]
    verdict = check(good, broken, folder, Device.of(), Tolerances())
    assert verdict.failures == [f"the reference's {what}"]


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
