"""What all contests share: options of the command line, and the beginnings of pages."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_line import Given, contest_options, pixel_options, teacher_of
from contest import Contest
from goals import Effort, Target, Teacher
from publishing import command, finished, heading, write_page

from decig.cli.values import EXISTING
from decig.errors import DecigError
from decig.source.flags import PixelFlags
from tests.samples import write_generator


@click.command()
@pixel_options
@contest_options("4,8", minutes=3.0, timing_seconds=9.0)
def show(said: PixelFlags, given: Given) -> None:
    """Say what the command got."""
    click.echo(f"{said.input_range} {given.targets} {given.effort} {given.timing_seconds}")


def test_a_contest_gets_its_options_and_its_own_defaults(tmp_path: Path) -> None:
    result = CliRunner().invoke(show, ["--out", str(tmp_path)])
    assert result.output == "None [4.0, 8.0] 3 minutes 9.0\n"
    given = ["--out", str(tmp_path), "--targets", "2", "--steps", "7", "--input-range=-1,1"]
    assert CliRunner().invoke(show, given).output == "(-1.0, 1.0) [2.0] 7 steps 9.0\n"
    assert CliRunner().invoke(show, []).exit_code == 2


def test_what_is_given_makes_a_contest(tmp_path: Path) -> None:
    given = Given([2.0], Effort(3.0), 2, None, None, False, 9.0, tmp_path, tmp_path)
    teacher = Teacher(tmp_path / "m.onnx", PixelFlags(), tmp_path)
    contest = given.contest(teacher, ["decig"], seeds=[1, 2])
    assert (contest.targets, contest.seeds, contest.out) == ([Target(2.0, "x")], [1, 2], tmp_path)
    assert given.contest(teacher, [], targets=[Target(9.0, "ms")]).targets[0].label == "9ms"


def test_pixels_of_the_command_line_are_those_of_onnx_files(tmp_path: Path) -> None:
    model = write_generator(tmp_path / "small.onnx", size=32)
    teacher = teacher_of(model, PixelFlags((0, 1)), tmp_path)
    assert teacher.flags.input_range == (0, 1) and teacher.flags.output_range == (0, 255)
    assert teacher.name == "small"
    assert Teacher(tmp_path / "house" / "recipe.toml", PixelFlags(), tmp_path).name == "house"


def test_the_command_of_a_page_repeats_it() -> None:
    assert command("style", Effort(4.0)) == (
        "python benchmarks/style.py --minutes 4 --out runs/style"
    )
    assert command("main_job", Effort(4.0, 9), "--model a.onnx", out="main_job_a") == (
        "python benchmarks/main_job.py --model a.onnx --steps 9 --out runs/main_job_a"
    )


@click.command()
@click.argument("recipe", type=EXISTING, required=False)
@click.option("--model", "models", type=EXISTING, multiple=True)
@click.option("--openvino/--no-openvino", default=True)
@pixel_options
@contest_options("4,8", minutes=3.0, timing_seconds=9.0)
def repeat(given: Given, **_: object) -> None:
    """Say the command that repeats this one."""
    click.echo(command("peers", given.effort, "--targets 4"))


def test_what_was_typed_is_in_the_command_with_its_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my nets", "house"):
        Path(name).mkdir()
    for name in ("my nets/a.onnx", "table.json"):
        Path(name).touch()
    given = ["house", "--model", "my nets/a.onnx", "--model", str(tmp_path / "house")]
    given += ["--no-openvino", "--input-range", "-1,1", "--profile", "table.json", "--jobs", "1"]
    given += ["--targets", "4", "--steps", "9", "--judge-only", "--out", "somewhere"]
    assert CliRunner().invoke(repeat, given).output == (
        "python benchmarks/peers.py house --model 'my nets/a.onnx' --model house --no-openvino "
        "--input-range -1,1 --jobs 1 --profile table.json --targets 4 --steps 9 --out runs/peers\n"
    )
    assert CliRunner().invoke(repeat, ["--out", "somewhere"]).output == (
        "python benchmarks/peers.py --targets 4 --minutes 3 --out runs/peers\n"
    )


def test_a_page_and_its_figures_are_written(tmp_path: Path) -> None:
    page = heading("Title", "a command", "A remark.", "Another one.")
    assert page[0] == "# Title" and page[2].startswith("`a command`, decig ")
    assert page[4].endswith("A remark. Another one.")
    write_page(tmp_path / "results", "name", [*page, "the end"], {"rows": [1]})
    assert (tmp_path / "results" / "name.md").read_text().endswith("\nthe end\n")
    assert json.loads((tmp_path / "results" / "name.json").read_text()) == {"rows": [1]}


def test_nothing_that_is_finished_is_an_error(tmp_path: Path) -> None:
    teacher = Teacher(tmp_path / "m.onnx", PixelFlags(), tmp_path)
    contest = Contest(teacher, [Target(2, "x")], ["decig"], Effort(1.0), 1, tmp_path)
    with pytest.raises(DecigError, match="no finished run to judge"):
        finished(contest)
