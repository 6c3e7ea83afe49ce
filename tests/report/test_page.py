import logging
from pathlib import Path
from urllib.parse import unquote

import pytest

from decig import extras, records
from decig.errors import BadInputError
from decig.records import Trial
from decig.report import page, sections
from decig.report.pictures import BUDGET_BYTES
from tests.report.html import Page
from tests.report.runs import HOSTILE, write_run, write_several


def written(folder: Path) -> Page:
    output = folder.parent / "report.html"
    page.write(folder, output)
    return Page(output.read_text(encoding="utf-8"))


def test_the_report_loads_nothing(tmp_path: Path) -> None:
    found = written(write_run(tmp_path / "run"))
    assert found.all("img") and found.all("svg") and found.all("table")
    for name, value in found.loads:
        assert value.startswith(("data:", "#")), f"{name}={value[:60]}"
    assert "url(" not in found.source.replace("url(#", ""), "nor do its style sheets"
    assert "@import" not in found.source and "fetch(" not in found.source
    policy = next(each for each in found.all("meta") if "http-equiv" in each)
    assert policy["content"].startswith("default-src 'none'")


def test_whatever_the_run_says_is_text(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "<b>run</b>", warnings=["<script>alert(2)</script>"])
    found = written(folder)
    assert len(found.all("script")) == 1 and not found.all("b")
    assert HOSTILE in found.text and "<script>alert(2)</script>" in found.text
    assert any(HOSTILE in image.get("alt", "") for image in found.all("img"))


def test_every_picture_and_table_says_what_it_is(tmp_path: Path) -> None:
    found = written(write_run(tmp_path / "run"))
    in_gallery = [image for image in found.all("img") if "src" in image]
    assert all(image["alt"] and image["width"] and image["height"] for image in in_gallery)
    assert len(found.all("caption")) == len(found.all("table"))
    assert len(in_gallery) == 3 * 4
    assert all(plot["aria-label"] for plot in found.all("svg"))
    (slider,) = found.all("input")
    assert slider["type"] == "range"
    assert {"main", "nav", "header", "footer", "h1"} <= {tag for tag, _ in found.tags}
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = [link["href"][1:] for link in found.all("a")]
    assert set(anchors) <= set(ids)


def test_all_parts_are_there(tmp_path: Path) -> None:
    text = written(write_run(tmp_path / "run")).text
    for part in (
        "4.10 times faster",
        "worst 1",
        "Latency by node",
        "8 → 4 channels, 2.00 ms saved",
        "2 plans were tried with 3 measurements",
        "SSIM is taken now and then",
        "In each frame: input, original, compressed, difference x4.",
        "decig compress 'model dir/m.onnx'",
        "--target-speedup 4",
        "Fingerprint of the device",
    ):
        assert part in text, part


def test_an_error_that_rounds_to_nothing_has_no_minus() -> None:
    trial = Trial(widths={"c1": 4}, loss=0.1, predicted_ms=34.1399, measured_ms=[34.14])
    assert sections._trial(trial)["cells"][2] == "+0.0%"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / records.NODES_FILE).unlink()
    (folder / "pictures" / "00-input.webp").unlink()
    run = (folder / "run.json").read_text().replace(str(tmp_path), "/gone")
    (folder / "run.json").write_text(run)
    found = page.write(folder, tmp_path / "report.html")
    assert found["bytes"] == (tmp_path / "report.html").stat().st_size
    assert found["missing"] == [
        "latency by node: the run did not write it down",
        f"{folder}/pictures/00-input.webp: missing, or not readable",
        "the original model, /gone, is not there any more; the run kept what is shown",
        "the folder of images, /gone, is not there any more; the run kept what is shown",
    ]
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert all(line in text for line in found["missing"])


def test_a_run_that_has_only_begun_has_a_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    for file in folder.iterdir():
        if file.is_file() and file.name != "run.json":
            file.unlink()
    found = written(folder)
    assert "This run has not finished" in found.text


def test_large_pictures_make_no_large_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", pictures=12, size=512)
    assert page.write(folder, tmp_path / "r.html")["bytes"] < 1.4 * BUDGET_BYTES + 500_000


def test_several_targets_of_no_device_are_counted(tmp_path: Path) -> None:
    folder = write_several(tmp_path / "all", macs=True)
    text = written(folder).text
    assert "asked, MMACs" in text and "asked, ms" not in text
    row = text[text.index("What each target reached") :]
    assert row.index("4.00") < row.index("1.60") < row.index("5.00")  # of 8 million


def test_several_targets_have_a_frontier_and_links(tmp_path: Path) -> None:
    folder = write_several(tmp_path / "all")
    assert page.write_where_possible(folder) == folder / page.FILE
    assert len(list(folder.glob(f"*/{page.FILE}"))) == 3
    (folder / "4x" / page.FILE).unlink()
    found = written(folder)
    assert "2 of 3 targets done" in found.text and "8x has not finished" in found.text
    assert "2x is hardly better than 4x" in found.text
    assert [link["href"] for link in found.all("a")] == [
        "#main",
        "all/2x/report.html",
        "all/8x/report.html",
    ]
    assert found.all("svg")


def test_links_lead_to_the_reports_from_wherever_the_page_lies(tmp_path: Path) -> None:
    folder = write_several(tmp_path / "all")
    assert page.write_where_possible(folder) == folder / page.FILE
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    for output in (folder / "r.html", tmp_path / "r.html", tmp_path / "elsewhere/deep/r.html"):
        page.write(folder, output)
        links = [link["href"] for link in Page(output.read_text(encoding="utf-8")).all("a")]
        reports = [unquote(link) for link in links if link.endswith(".html")]
        assert len(reports) == 3
        assert all((output.parent / link).is_file() for link in reports)


def test_one_of_several_targets_is_repeated_with_all_of_them(tmp_path: Path) -> None:
    """What was typed stands in the folder of the call."""
    folder = write_several(tmp_path / "all")
    for name in ("2x", "4x", "8x"):
        (folder / name / "run.toml").replace(folder / "run.toml")
    for place in (folder, folder / "4x"):
        text = written(place).text
        assert "did not write down what was typed" not in text
        assert f"decig compress --locked {folder / 'run.toml'}" in text


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such folder"):
        page.write(tmp_path / "gone", tmp_path / "r.html")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInputError, match="no run of decig compress"):
        page.write(tmp_path / "file", tmp_path / "r.html")


def test_without_its_packages_compress_says_how_to_get_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_run(tmp_path / "a run")
    assert page.write_where_possible(folder) == folder / page.FILE
    monkeypatch.setattr(extras, "missing", lambda modules: modules[0])
    with caplog.at_level(logging.INFO, "decig"):
        assert page.write_where_possible(folder) is None
    assert "no report.html: for one, pip install 'decig[report]' and decig report" in caplog.text
    with pytest.raises(BadInputError, match=r"needs jinja2: pip install 'decig\[report\]'"):
        page.write(folder, tmp_path / "r.html")


def test_a_report_that_fails_takes_no_result_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_run(tmp_path / "run")
    (folder / records.NODES_FILE).write_text("{", encoding="utf-8")
    assert page.write_where_possible(folder) is None
    assert "no report.html: " in caplog.text and "nodes.json" in caplog.text
