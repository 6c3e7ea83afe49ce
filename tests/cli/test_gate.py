"""`decig check` in CI: exit codes, and the files that it leaves."""

import xml.etree.ElementTree as ET

import pytest

from decig.deploy import check as module
from tests.deploy.test_check import paired_times
from tests.samples import PIXELS, decig, write_generator, write_photos


@pytest.fixture
def asked(tmp_path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    monkeypatch.setattr(module, "measure_pairs", lambda *_: paired_times(200, 50))
    model, photos = write_generator(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    return ("check", model, "--reference", model, "--data", photos, *PIXELS)


@pytest.mark.parametrize(("limit", "code", "strict_code"), [(3, 0, 0), (4, 0, 3), (5, 3, 3)])
def test_only_what_is_surely_missed_is_exit_code_3(asked, limit, code, strict_code) -> None:
    result = decig(*asked, "--min-speedup", limit)
    assert result.exit_code == code, result.stderr
    assert ("cannot tell: speedup 4" in result.stderr) is (limit == 4)
    assert decig(*asked, "--min-speedup", limit, "--strict").exit_code == strict_code


def test_files_for_ci_are_written_also_where_a_limit_is_missed(asked, tmp_path) -> None:
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    summary.write_text("# Before\n")
    files = ("--junit", junit, "--markdown", summary)
    assert decig(*asked, "--min-speedup", 5, *files).exit_code == 3
    assert ET.parse(junit).getroot().get("failures") == "1"
    text = summary.read_text()
    assert text.startswith("# Before\n### decig check: **failed**\n")


def test_the_answers_are_shown(asked) -> None:
    shown = decig(*asked, "--min-speedup", 3, "--max-latency", "50ms").stdout
    assert "met: speedup 4 is not under 3 (--min-speedup)" in shown
    assert "cannot tell: latency 50.000 ms cannot be told from 50 ms (--max-latency)" in shown
    assert "51 runs of each, in turns; other programs had the processor for 0.0 %" in shown


def test_confidence_and_time_reach_the_measurement(asked, monkeypatch) -> None:
    told = []

    def measure(*given):
        told.append(given[-1])
        return paired_times(200, 50)

    monkeypatch.setattr(module, "measure_pairs", measure)
    assert decig(*asked, "--confidence", 0.999, "--timing", "5m").exit_code == 0
    assert (told[0].confidence, told[0].max_seconds) == (0.999, 300.0)
    result = decig(*asked, "--confidence", 1)
    assert result.exit_code == 2


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(asked, tmp_path) -> None:
    result = decig(*asked, "--junit", tmp_path / "nowhere" / "junit.xml")
    assert result.exit_code == 2
    assert "its folder is not there" in result.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--min-ssim", "abc"), "'abc' is not a number"),  # while options are read
        (("--min-sim", 1), "No such option"),
        (("--data", "nowhere"), "'nowhere' does not exist"),
        (("--max-kid", "0.1", "--targets", "."), "no images there"),  # long before the verdict
    ],
)
@pytest.mark.parametrize("form", ["two words", "one word"])
def test_what_ends_a_check_is_no_old_verdict(
    asked, tmp_path, monkeypatch, more, message, form
) -> None:
    """An older file must not be taken for the answer of a call that came to none."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    junit.write_text('<testsuite tests="1" failures="0"/>')
    files = ("--junit", junit) if form == "two words" else (f"--junit={junit}",)
    rest = asked if "--data" not in more else (*asked[:4], *asked[6:])
    result = decig(*rest, *files, "--markdown", summary, *more)
    assert result.exit_code == 2 and message in result.stderr, result.stderr
    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert message in suite.find("testcase/error").get("message")
    assert summary.read_text().startswith("### decig check: no verdict\n\nerror: ")


def test_a_check_that_is_stopped_leaves_no_old_verdict(asked, tmp_path, monkeypatch) -> None:
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measure_pairs", stop)
    junit = tmp_path / "junit.xml"
    assert decig(*asked, "--junit", junit).exit_code == 130
    assert ET.parse(junit).getroot().find("testcase/error").get("message") == "interrupted"


def test_help_writes_nothing(tmp_path) -> None:
    assert decig("check", "--junit", tmp_path / "junit.xml", "--help").exit_code == 0
    assert not (tmp_path / "junit.xml").exists()


@pytest.mark.parametrize("option", ["--junit", "--markdown"])
def test_an_option_that_takes_the_model_for_its_value_leaves_it_as_it_is(
    asked, tmp_path, option: str
) -> None:
    model = tmp_path / "m.onnx"
    before = model.read_bytes()
    for words in (["check", option, *asked[1:]], ["check", option, model, *asked[1:]]):
        result = decig(*words)
        assert result.exit_code == 2 and model.read_bytes() == before
        assert "m.onnx is there already and is no such report" in result.stderr


def test_a_check_that_is_killed_leaves_no_answer_of_an_earlier_one(asked, tmp_path, monkeypatch):
    junit = tmp_path / "junit.xml"
    assert decig(*asked, "--junit", junit).exit_code == 0
    seen = []

    def measure(*_):
        seen.append(ET.parse(junit).getroot().get("errors"))
        return paired_times(200, 50)

    monkeypatch.setattr(module, "measure_pairs", measure)
    assert decig(*asked, "--junit", junit).exit_code == 0
    assert seen == ["1"] and ET.parse(junit).getroot().get("errors") == "0"
