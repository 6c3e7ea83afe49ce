import numpy as np
import onnx
import pytest
from PIL import Image

from decig.deploy import check as module
from decig.deploy.check import check
from decig.deploy.tolerances import Tolerances
from decig.device.measure.paired import PairedTimes
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.source.stamp import stamp
from tests.samples import write_broken, write_flat, write_generator, write_photos
from tests.threads import FREE, watch_threads

FLAGS = PixelFlags((0.0, 1.0), (0.0, 1.0), None, "rgb")


def paired_times(reference_ms, candidate_ms, count=51, spread=0.01, disturbed=0.0):
    """Times of runs in turns; those of the candidate are spread around its milliseconds."""
    share = np.random.default_rng(0).permutation(1 + spread * np.linspace(-1, 1, count))
    steady = np.full(count, reference_ms * 1e3)
    return PairedTimes(steady, candidate_ms * 1e3 / share, disturbed, 0.99)


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

    def measure(*sides_and_more):
        timed.extend(side._run for side in sides_and_more[:2])
        return paired_times(1.0, 1.0)

    monkeypatch.setattr(module, "measure_pairs", measure)
    check(source, source, folder, Device.of(), Tolerances())
    assert opened == [1, FREE] * 2
    sessions = {run.args[0].get_session_options().intra_op_num_threads for run in timed}
    assert sessions == {1}


@pytest.mark.parametrize(
    ("asked", "answer", "passed", "failures"),
    [
        ({"min_speedup": 3}, "met", True, []),
        ({"min_speedup": 5}, "missed", False, ["speedup 4 is under 5 (--min-speedup)"]),
        ({"min_speedup": 4}, "cannot tell", None, []),
        ({"max_latency_ms": 60}, "met", True, []),
        ({"max_latency_ms": 40}, "missed", False, ["latency 50.000 ms is over 40 ms"]),
        ({"max_latency_ms": 50}, "cannot tell", None, []),
    ],
)
def test_three_answers(tmp_path, folder, monkeypatch, caplog, asked, answer, passed, failures):
    monkeypatch.setattr(module, "measure_pairs", lambda *_: paired_times(200, 50))
    source = resolve(str(write_generator(tmp_path / "a.onnx")), FLAGS)
    verdict = check(source, source, folder, Device.of(), Tolerances(**asked))
    found = verdict.to_dict()
    assert [limit["answer"] for limit in found["limits"]] == [answer]
    assert found["passed"] is passed
    for told, wanted in zip(found["failures"], failures, strict=True):
        assert told.startswith(wanted)
    assert ("cannot tell: " in caplog.text) is (passed is None)
    strict = check(source, source, folder, Device.of(), Tolerances(**asked), strict=True)
    assert strict.passed is bool(passed)
    assert len(strict.failures) == (answer != "met")


def test_how_much_other_programs_took_is_told(tmp_path, folder, monkeypatch):
    times = paired_times(200, 50, disturbed=0.25)
    monkeypatch.setattr(module, "measure_pairs", lambda *_: times)
    source = resolve(str(write_generator(tmp_path / "a.onnx")), FLAGS)
    found = check(source, source, folder, Device.of(), Tolerances()).to_dict()
    assert found["disturbed"] == 0.25
    assert found["runs"] == 51
    assert found["passed"] is None


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


def test_the_grid_holds_input_reference_and_candidate(tmp_path):
    photos, given = tmp_path / "photos", np.uint8([[[250, 10, 120]], [[30, 90, 200]]])
    photos.mkdir()
    for name, colour in zip("ab", given, strict=True):
        Image.fromarray(np.tile(colour, (24, 24, 1))).save(photos / f"{name}.png")
    models = {"reference": (0.8, 0.6, 0.4), "candidate": (0.2, 0.4, 0.6)}
    reference, candidate = (
        resolve(str(write_flat(tmp_path / f"{who}.onnx", colour)), FLAGS)
        for who, colour in models.items()
    )
    grid = tmp_path / "grid.png"
    check(candidate, reference, photos, Device.of(), Tolerances(), grid)
    with Image.open(grid) as picture:
        pixels = np.array(picture.convert("RGB"))
    for row, colour in enumerate(given[:, 0]):
        wanted = [colour, *(255 * np.array(models[who]) for who in ("reference", "candidate"))]
        for column, flat in enumerate(wanted):
            top, left = 24 + 28 * row, 4 + 28 * column
            tile = pixels[top : top + 24, left : left + 24]
            assert np.abs(tile - flat).max() <= 1, (row, column)
