import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from decig.deploy.judges.panel import GIVEN, OWN, Files
from decig.deploy.tolerances import Tolerances, judge, require_judges
from decig.device.measure.paired import Answer, PairedTimes
from decig.errors import BadInputError
from decig.quality.agreement import Agreement
from decig.quality.distributions import Distance
from decig.quality.means import PairFigures
from decig.quality.protocol import Protocol, SetDistance

TIMES = PairedTimes(np.full(20, 4000.0), np.full(20, 1000.0), 0.0, 0.99)
"""Four times faster, 1 ms, without any spread."""


def missed(asked: Tolerances, times: PairedTimes, likeness: object) -> list[str]:
    """What is said of limits that are missed; all others must be met."""
    found = judge(asked, times, likeness)
    assert {finding.answer for finding in found} <= {Answer.MET, Answer.MISSED}
    return [finding.text for finding in found if finding.answer is Answer.MISSED]


def _sets(kid: float, frechet: float) -> SetDistance:
    return SetDistance(Distance(kid, 0.0, frechet), Protocol(2, 2, 0))


def _likeness(**changed):
    found = {
        "pairs": PairFigures(0.8, None, 25.0, 0.3),
        "distances": {OWN: _sets(0.1, 9.0), GIVEN: _sets(0.2, 30.0)},
        "segmentation": SimpleNamespace(agreement={"candidate": Agreement(0.9, 0.5)}),
        "real": None,
        "skipped": [],
    }
    return SimpleNamespace(**(found | changed))


@pytest.mark.parametrize(
    ("met", "too_much", "told"),
    [
        ({"max_latency_ms": 1}, {"max_latency_ms": 0.5}, "latency 1.000 ms is over 0.5 ms"),
        ({"min_speedup": 4}, {"min_speedup": 5}, "speedup 4 is under 5 (--min-speedup)"),
        ({"min_ssim": 0.8}, {"min_ssim": 0.9}, "SSIM 0.8 is under 0.9 (--min-ssim)"),
        ({"min_psnr_db": 25}, {"min_psnr_db": 26}, "PSNR in dB 25 is under 26 (--min-psnr)"),
        ({"max_kid": 0.1}, {"max_kid": 0.09}, "KID 0.1 to the reference's pictures is over 0.09"),
        ({"max_fid": 30}, {"max_fid": 29}, "FID 30 to the reference's pictures is over 29"),
        ({"max_lpips": 0.3}, {"max_lpips": 0.2}, "LPIPS 0.3 to the reference's pictures is over"),
        ({"min_iou": 0.5}, {"min_iou": 0.6}, "mean IoU 0.5 is under 0.6 (--min-iou)"),
        ({"max_unreadable": 0}, {"max_unreadable": 0}, "1 images are unreadable"),
    ],
)
def test_each_limit(met, too_much, told):
    assert missed(Tolerances(**met), TIMES, _likeness()) == []
    skipped = ["a.png"] if "max_unreadable" in met else []
    (line,) = missed(Tolerances(**too_much), TIMES, _likeness(skipped=skipped))
    assert line.startswith(told)


def test_what_lies_at_a_limit_of_the_latency_cannot_be_told():
    spread = 1000 * (1 + 0.01 * np.linspace(-1, 1, 20))
    times = PairedTimes(np.full(20, 4000.0), spread, 0.0, 0.99)
    found = judge(Tolerances(min_speedup=4, max_latency_ms=1), times, _likeness())
    assert [finding.answer for finding in found] == [Answer.UNSURE] * 2
    assert "cannot be told from 4 (--min-speedup), surely between" in found[1].text
    assert found[1].to_dict()["interval"][0] < 4 < found[1].to_dict()["interval"][1]


def test_json_of_what_is_not_defined_is_null():
    [found] = judge(Tolerances(min_ssim=0), TIMES, _likeness(pairs=PairFigures(math.nan, None, 1)))
    assert found.to_dict() == {
        "option": "--min-ssim",
        "answer": "missed",
        "limit": 0,
        "value": None,
    }


def test_real_pictures_are_what_distances_are_limited_to():
    far = {OWN: {"candidate": _sets(0.5, 1)}, GIVEN: {"candidate": _sets(1, 90.0)}}
    found = missed(
        Tolerances(max_kid=0.2, max_fid=40),
        TIMES,
        _likeness(real=SimpleNamespace(distances=far, skipped=[])),
    )
    assert found == [
        "KID 0.5 to the real pictures is over 0.2 (--max-kid)",
        "FID 90 to the real pictures is over 40 (--max-fid)",
    ]


def test_real_pictures_that_cannot_be_read_count_as_unreadable():
    likeness = _likeness(skipped=["a"], real=SimpleNamespace(distances={}, skipped=["b", "c"]))
    assert missed(Tolerances(max_unreadable=3), TIMES, likeness) == []
    (told,) = missed(Tolerances(max_unreadable=2), TIMES, likeness)
    assert told.startswith("3 images are unreadable, at most 2 may be")


def test_what_is_no_number_never_passes():
    nan = math.nan
    likeness = _likeness(
        pairs=PairFigures(nan, None, nan, nan),
        distances={OWN: _sets(nan, nan), GIVEN: _sets(nan, nan)},
        segmentation=SimpleNamespace(agreement={"candidate": Agreement(nan, nan)}),
    )
    asked = Tolerances(min_ssim=0, min_psnr_db=1, max_kid=9, max_fid=9, max_lpips=9, min_iou=0)
    assert len(missed(asked, TIMES, likeness)) == 6


def test_a_limit_without_its_network_names_the_option():
    for limit, needed in (
        ("max_fid", "--max-fid needs --inception FILE"),
        ("max_lpips", "--max-lpips needs --lpips FILE"),
        ("min_iou", "--min-iou needs --segmenter FILE"),
    ):
        with pytest.raises(BadInputError, match=needed):
            require_judges(Tolerances(**{limit: 0.5}), None, Files())


def test_real_pictures_need_features_of_some_kind(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(BadInputError, match=r"^--targets needs"):
        require_judges(Tolerances(), tmp_path, Files())
    require_judges(Tolerances(), tmp_path, Files(inception=tmp_path / "net.onnx"))


def test_what_is_told_is_what_is_judged_where_the_machine_changes_its_pace():
    """The ratio of the medians of all runs would be another one, on the other side of the limit."""
    pace = np.repeat([1.0, 3.0], [11, 9])
    times = PairedTimes(4000.0 * pace, 1010.0 * np.roll(pace, 2), 0.0, 0.99)
    [found] = judge(Tolerances(min_speedup=2), times, _likeness())
    assert found.value == times.ratio
    assert found.interval.low <= found.value <= found.interval.high


def test_whether_anything_is_asked():
    assert TIMES.ratio == 4
    assert not Tolerances().asked
    assert Tolerances(min_iou=0.1).asked
