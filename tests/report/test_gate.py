"""The files that a check leaves for CI systems."""

import dataclasses
import os
import xml.etree.ElementTree as ET

import pytest

from decig.deploy import check as module
from decig.deploy.check import Verdict, check
from decig.deploy.tolerances import Tolerances
from decig.device.run.device import Device
from decig.files import add_text
from decig.report.gate import junit, markdown
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from tests.deploy.test_check import paired_times
from tests.samples import write_generator, write_photos

LIMITS = Tolerances(min_speedup=4.0, max_latency_ms=40.0, min_ssim=0.5)
"""Of a model that is four times faster at 50 ms: cannot tell, missed, met."""


@pytest.fixture
def verdict(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Verdict:
    monkeypatch.setattr(module, "measure_pairs", lambda *_: paired_times(200, 50, disturbed=0.1))
    flags = PixelFlags((0, 1), (0, 1), None, "rgb")
    source = resolve(str(write_generator(tmp_path / "a.onnx")), flags)
    photos = write_photos(tmp_path / "photos")
    return check(source, source, photos, Device.of(), LIMITS)


def test_junit_has_a_case_for_every_limit(verdict: Verdict) -> None:
    suite = ET.fromstring(junit(verdict, "small.onnx"))
    assert suite.tag == "testsuite"
    assert {k: suite.get(k) for k in ("tests", "failures", "skipped", "errors")} == {
        "tests": "4",
        "failures": "1",
        "skipped": "1",
        "errors": "0",
    }
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert cases.keys() == {"pictures", "--max-latency 40", "--min-speedup 4", "--min-ssim 0.5"}
    [failure] = cases["--max-latency 40"].findall("failure")
    assert failure.get("message", "").startswith("latency 50.000 ms is over 40 ms")
    [skipped] = cases["--min-speedup 4"].findall("skipped")
    assert "cannot be told from 4" in skipped.get("message", "")
    assert (
        list(
            cases["--min-ssim 0.5"].iter(
                "failure",
            )
        )
        == []
    )
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert properties["candidate"] == "small.onnx"
    assert properties["time that other programs took"] == "10.0%"
    assert properties["speedup"] == "4.0000"


def test_a_strict_check_skips_nothing(verdict: Verdict) -> None:
    strict = dataclasses.replace(verdict, strict=True)
    suite = ET.fromstring(junit(strict, "small.onnx"))
    assert (suite.get("failures"), suite.get("skipped")) == ("2", "0")


def test_pictures_that_are_none_fail_a_case_of_their_own(verdict: Verdict) -> None:
    broken = dataclasses.replace(verdict, faults=["the pictures hold NaN & <worse>"])
    suite = ET.fromstring(junit(broken, "a<b>&.onnx"))
    [case] = [case for case in suite.iter("testcase") if case.get("name") == "pictures"]
    assert [f.get("message") for f in case.iter("failure")] == ["the pictures hold NaN & <worse>"]
    lines = markdown(broken, "x").splitlines()
    place = lines.index("- the pictures hold NaN &amp; &lt;worse>")
    assert lines[place + 1 : place + 3] == ["", "| limit | answer | what was found |"]


def test_names_that_are_no_text_leave_files_that_can_be_read(verdict: Verdict, tmp_path) -> None:
    name = os.fsdecode(b"p\xff.onnx")
    broken = dataclasses.replace(verdict, faults=[f"{name}: NaN\x07"])
    values = [each.get("value") for each in ET.fromstring(junit(broken, name)).iter("property")]
    assert "p .onnx" in values
    add_text(tmp_path / "summary.md", markdown(broken, name))
    assert "p?.onnx" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_the_summary_is_a_table_whatever_files_are_called(verdict: Verdict) -> None:
    lines = markdown(verdict, "a|b<c>.onnx").splitlines()
    assert lines[0] == "### decig check: **failed**"
    rows = [line for line in lines if line.startswith("|")]
    assert any("`--min-speedup 4` | cannot tell |" in row for row in rows)
    assert r"| candidate | a\|b&lt;c>.onnx |" in rows


@pytest.mark.parametrize(
    ("limits", "title"),
    [
        (Tolerances(min_ssim=0.5), "### decig check: passed"),
        (Tolerances(min_speedup=4.0), "### decig check: cannot tell"),
        (Tolerances(), "### decig check: nothing asked"),
    ],
)
def test_the_title_says_the_answer(verdict: Verdict, limits: Tolerances, title: str) -> None:
    from decig.deploy.tolerances import judge

    found = dataclasses.replace(verdict, findings=judge(limits, verdict.times, verdict.likeness))
    assert markdown(found, "x").splitlines()[0] == title
