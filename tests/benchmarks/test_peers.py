"""The comparison with other tools: what its page says, and all of it in miniature."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import openvino_environment
import peers
import peers_page
import pytest
from click.testing import CliRunner
from competitors import cutting
from competitors.matching import Match, PeerLatency
from frontier import KID, PSNR, SSIM
from jobs import Job
from judge import Row
from peers_page import Compared, section, table, verdict, verdicts

from decig.device.run.timing import Latency
from tests.benchmarks.small import table_of, write_pairs, write_recipe, write_settings
from tests.samples import write_generator, write_photos

ORT, OV = "ONNX Runtime", "OpenVINO"
FAKE = Path(__file__).parent / "fake_openvino"


def row(method: str, ms: float, ssim: float = 0.8, target: str = "4x", where: str = ORT) -> Row:
    alike = {"ssim": ssim, "psnr_db": 20 * ssim, "kid": 1 - ssim, "kid_standard_error": 0.003}
    latency = Latency(1000 * ms, 10.0, 1100 * ms, 30)
    if method == "teacher":
        alike, target = {}, ""
    notes = {"minutes": 2.0}
    return Row(target, method, latency, 80 / ms, 10, 10, 0.1, 0.1, alike, notes, runtime=where)


ROWS = [
    row("teacher", 80),
    row("teacher", 60, where=OV),
    row("onnxruntime-int8", 50, 0.95, target=""),
    row("openvino-int8", 20, 0.95, target="", where=OV),
    row("uniform", 20, 0.7),
    row("uniform", 15, 0.7, where=OV),
    row("decig", 20, 0.8),
    row("decig", 10, 0.8, where=OV),
    row("decig-int8", 12, 0.75),
]
REMARKS = {("4x", "onnxsim"): "finds no channel | to remove", ("", "openvino-int8"): "a remark"}


def compared(rows: list[Row] = ROWS) -> Compared:
    return Compared("house", ["4x"], [ORT, OV], rows, REMARKS, 12)


def test_the_table_has_a_line_for_each_result_and_for_each_that_is_missing() -> None:
    lines = table(compared()).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[0].startswith(
        "| target | method | ONNX Runtime ms (MAD) | times faster | OpenVINO ms (MAD) |"
    )
    assert [line.split("|")[2].strip() for line in lines[2:]] == [
        "teacher",
        "onnxruntime-int8",
        "openvino-int8",
        "uniform",
        "onnxsim",
        "decig",
        "decig-int8",
    ]
    assert "| - | openvino-int8 | - | - | 20.00 (0.01) | 4.00 | 0.950 |" in lines[4]
    assert "| 4x | decig | 20.00 (0.01) | 4.00 | 10.00 (0.01) | 8.00 | 0.800 | 16.00 |" in lines[7]
    assert lines[6].endswith("| finds no channel / to remove |")


def test_verdicts_compare_each_runtime_and_the_better_one_of_each_side() -> None:
    here = [each for each in ROWS if each.runtime == ORT]
    found = verdict(here, "4x", SSIM)
    # By SSIM 0.75 lies between 0.7 in 20 ms and 0.95 in 50 ms.
    assert found is not None and found.own.name == "decig-int8 4x on ONNX Runtime"
    assert found.gain == pytest.approx(20 * 2.5**0.2 / 12)
    assert [each.name for each in found.beside] == [
        "onnxruntime-int8 on ONNX Runtime",
        "uniform 4x on ONNX Runtime",
    ]
    both = verdict(ROWS, "4x", SSIM)
    assert both is not None and both.own.name == "decig 4x on OpenVINO"
    assert both.gain == pytest.approx(15 * (20 / 15) ** 0.4 / 10)
    lines = verdicts(compared())
    assert (
        lines[2] == "| target | at equal | ONNX Runtime | OpenVINO | the better runtime of each |"
    )
    assert len([line for line in lines if line.startswith("| 4x | ")]) == 3
    short = next(line for line in lines if line.startswith("- 4x, SSIM"))
    assert short.startswith("- 4x, SSIM: decig 4x on OpenVINO is 1.68 times as fast, short of 2.5")
    assert "compared with openvino-int8 on OpenVINO and uniform 4x on OpenVINO" in short


def test_a_goal_that_is_met_everywhere_is_said() -> None:
    rows = [row("teacher", 80), row("uniform", 50, 0.5), row("decig", 10, 0.9)]
    whole = replace(compared(rows), runtimes=[ORT], remarks={})
    assert verdicts(whole)[-1] == "At least 2.5 times everywhere."


def test_nothing_is_claimed_of_what_is_missing() -> None:
    rows = [row("teacher", 80), row("uniform", 50, 0.5), row("decig", 10, 0.9)]
    part = replace(compared(rows), runtimes=[ORT], targets=["4x", "8x"])
    said = verdicts(part)
    assert "At least 2.5 times wherever both sides have a result." in said
    assert said[said.index("What is missing in this comparison, or not as fast as asked for:") :][
        2:
    ] == [
        "- 8x, SSIM: one side has no result.",
        "- 8x, PSNR: one side has no result.",
        "- 8x, KID: one side has no result.",
        "- onnxsim 4x: finds no channel | to remove",
        "- openvino-int8: a remark",
    ]
    alone = replace(compared([row("teacher", 80), row("decig", 10)]), runtimes=[ORT], remarks={})
    assert "Nothing could be compared." in verdicts(alone)


def test_a_goal_that_only_the_better_runtime_meets_is_not_met_everywhere() -> None:
    rows = [row("teacher", 80), row("uniform", 50, 0.5), row("decig", 30, 0.9)]
    rows += [row(name, ms, ssim, where=OV) for name, ms, ssim in (("uniform", 60, 0.5),)]
    rows += [row("teacher", 80, where=OV), row("decig", 10, 0.9, where=OV)]
    assert verdicts(replace(compared(rows), remarks={}))[-1] == (
        "At least 2.5 times everywhere, if each side runs on the runtime that is better for it."
    )


def test_nothing_is_said_where_one_side_is_missing() -> None:
    assert verdict([row("teacher", 80), row("decig", 10)], "4x", KID) is None
    assert verdict([row("teacher", 80), row("uniform", 10)], "4x", PSNR) is None


def test_the_plot_has_a_mark_for_each_method_and_text_that_is_text(tmp_path: Path) -> None:
    lines = section(compared(), tmp_path, "peers_house")
    assert lines[2].startswith("12 held-out images. KID is to the teacher's pictures: ")
    assert "![Quality over latency of house](peers_house.png)" in lines
    text = (tmp_path / "peers_house.svg").read_text()
    for method in ("teacher", "uniform", "openvino-int8", "decig-int8"):
        assert f">{method}</text>" in text
    assert ">SSIM on OpenVINO</text>" in text
    assert (tmp_path / "peers_house.png").read_bytes().startswith(b"\x89PNG")


def test_marks_and_dashes_tell_all_methods_apart() -> None:
    from frontier_plot import _looks

    looks = list(_looks(peers.METHODS, peers_page.OURS))
    assert len({look["marker"] for look in looks}) == len(peers.METHODS)
    assert len({(look["marker"], look["linestyle"]) for look in looks}) == len(peers.METHODS)
    filled = {look["label"] for look in looks if look["markerfacecolor"] == look["color"]}
    assert filled == set(peers_page.OURS)


def called(*given: object) -> tuple[int, str]:
    result = CliRunner().invoke(peers.main, [str(each) for each in given])
    return result.exit_code, result.output


def test_rows_need_decigs_results(tmp_path: Path) -> None:
    code, said = called("--only", "onnxsim", "--only", "uniform", "--out", tmp_path / "out")
    assert (code, said) == (1, "Error: uniform, onnxsim need decig's results: run decig too\n")


def test_a_missing_package_is_found_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxsim", None)
    code, said = called("--out", tmp_path / "out")
    assert code == 1
    assert "the row onnxsim needs onnxsim: pip install 'decig[peers]'" in said
    assert said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_held_out_photos_that_are_not_there_are_found_before_anything_runs(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "small.onnx", size=32)
    write_photos(tmp_path / "photos" / "train", 2)
    given = ["--model", model, "--photos", tmp_path / "photos", "--out", tmp_path / "out"]
    code, said = called(*given, "--input-range", "0,1", "--output-range", "0,1")
    assert code == 1 and said.startswith("Error: ") and said.count("\n") == 1
    assert "val" in said


def test_two_models_of_one_name_are_an_error(tmp_path: Path) -> None:
    given = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        given += ["--model", write_generator(tmp_path / name / "small.onnx", size=32)]
    write_photos(tmp_path / "photos" / "train", 1)
    code, said = called(*given, "--photos", tmp_path / "photos", "--out", tmp_path / "out")
    assert code == 2 and "same name: small, small" in said


def fake_environment(monkeypatch: pytest.MonkeyPatch, command: str = "pass") -> None:
    """Let the Python that runs the tests stand for OpenVINO's environment."""
    monkeypatch.setenv("PYTHONPATH", ":".join([str(FAKE), *sys.path]))
    monkeypatch.setattr(openvino_environment, "python_of", lambda _: Path(sys.executable))
    monkeypatch.setattr(
        openvino_environment,
        "openvino_job",
        lambda out: Job("environment", out / "openvino", [sys.executable, "-c", command]),
    )


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on how fast the machine is."""
    monkeypatch.setattr(PeerLatency, "screen", lambda self: None)
    monkeypatch.setattr(PeerLatency, "match", lambda self, result: Match(8, 1.0))
    monkeypatch.setattr(
        cutting, "match_all", lambda model, results: dict.fromkeys(results, (0.5, 1.0))
    )


def miniature(tmp_path: Path, model: Path, table: Path, *given: object) -> list[object]:
    found = ["--model", model, "--targets", 1.5, "--steps", 3, "--jobs", 1]
    found += ["--config", write_settings(tmp_path), "--profile", table]
    found += ["--timing-seconds", 0.1, "--out", tmp_path / "out"]
    return [*found, "--results", tmp_path / "results", *given]


@pytest.mark.slow
def test_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untimed: None) -> None:
    fake_environment(monkeypatch)
    recipe = write_recipe(tmp_path / "recipe")
    for split in ("train", "val"):
        write_pairs(tmp_path / "data" / split)
    table = table_of(recipe / "generator.onnx", tmp_path)
    given = miniature(tmp_path, recipe, table, "--pairs", tmp_path / "data")
    code, said = called(*given)
    assert code == 0, said
    found = json.loads((tmp_path / "results" / "peers.json").read_text())["recipe"]
    assert found["remarks"] == []
    made = {(each["method"], each["runtime"]) for each in found["rows"]}
    for method in ("teacher", *peers.METHODS):
        wanted = {OV} if method == "openvino-int8" else {ORT, OV}
        assert {where for name, where in made if name == method} == wanted, method
    page = (tmp_path / "results" / "peers.md").read_text()
    assert "OpenVINO 0.0-fake" in page and "the better runtime of each" in page
    assert (tmp_path / "results" / "peers_recipe.png").exists()
    code, said = called(*given)
    assert code == 0, said
    for part in ("compress: 3 of 3", "peers: 2 of 2", "cut: 1 of 1", "train what was cut: 1 of 1"):
        assert f"== {part} done before" in said
    assert "started, log in" not in said


@pytest.mark.slow
def test_what_cannot_be_made_is_said_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untimed: None
) -> None:
    fake_environment(monkeypatch, "raise SystemExit('no such package')")
    model = write_generator(tmp_path / "small.onnx", size=32)
    for split in ("train", "val"):
        write_photos(tmp_path / "photos" / split, 4, 40, 40)
    given = ["--photos", tmp_path / "photos", "--input-range", "0,1", "--output-range", "0,1"]
    for method in ("decig", "uniform", "onnxruntime-int8", "openvino-int8"):
        given += ["--only", method]
    code, said = called(*miniature(tmp_path, model, table_of(model, tmp_path), *given))
    assert code == 0, said
    text = (tmp_path / "results" / "peers.md").read_text()
    assert "| 1.5x | uniform | - | - | - | - | - | - | no PyTorch code of the teacher: " in text
    assert "| - | openvino-int8 | - | - | - | - | - | - | OpenVINO cannot be used: " in text
    assert "no such package" in text
    assert "| - | onnxruntime-int8 | " in text and "| 1.5x | decig | " in text
