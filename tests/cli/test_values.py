import click
import pytest

from decig.cli.main import main
from decig.cli.values import (
    POSITIVE,
    Number,
    Whole,
    input_shape,
    latencies,
    latency,
    macs,
    output_file,
    run_folder,
    setting,
    settings_file,
    speedups,
    time_budget,
    value_range,
)


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("20ms", 20), ("0.02s", 20), ("1.5 ms", 1.5), ("800us", 0.8)]
)
def test_latencies_are_milliseconds(text, milliseconds):
    assert latency(text) == pytest.approx(milliseconds)


@pytest.mark.parametrize(("text", "seconds"), [("20m", 1200), ("90s", 90), ("1h", 3600)])
def test_budgets_are_seconds(text, seconds):
    assert time_budget(text) == seconds


@pytest.mark.parametrize("text", ["20", "20x", "20m"])
def test_a_latency_without_its_unit_names_the_units(text):
    with pytest.raises(click.BadParameter, match=r"needs a unit \(us, ms, s\); write it like 20ms"):
        latency(text)


@pytest.mark.parametrize("text", ["", "ms", "-3ms", "0ms", "1e3ms", "nan", "9" * 400 + "s"])
def test_what_is_not_a_positive_time_is_refused(text):
    with pytest.raises(click.BadParameter, match="write it like"):
        latency(text)


def test_ranges():
    assert value_range("-1,1") == (-1.0, 1.0)
    for text in ("1", "a,b", "1,2,3", "1,0", "0,0", "-inf,1", "0,inf"):
        with pytest.raises(click.BadParameter):
            value_range(text)


@pytest.mark.parametrize("text", ["nan", "inf", "0", "-1", "many"])
def test_numbers_that_are_none(text):
    with pytest.raises(click.BadParameter):
        POSITIVE.convert(text, None, None)
    assert POSITIVE.convert("0.5", None, None) == 0.5


def test_input_shapes_may_have_names_with_colons():
    assert input_shape("serving:0:1,3,8,8") == ("serving:0", [1, 3, 8, 8])
    assert input_shape("1,3,8,8") == ("", [1, 3, 8, 8])
    for text in ("", "x:", "x:1,a", "x:1,0", ":1,2", "1,a"):
        with pytest.raises(click.BadParameter, match="NAME:1,3,256,256"):
            input_shape(text)


def test_settings_split_at_the_first_equals_sign():
    assert setting("device=a=b") == ("device", "a=b")
    for text in ("device", "=x"):
        with pytest.raises(click.BadParameter):
            setting(text)


def test_files_and_folders_that_cannot_be_written_are_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    assert output_file(str(tmp_path / "new.onnx")) == tmp_path / "new.onnx"
    assert run_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    for read, name, message in (
        (output_file, ".", "not written: it is a folder"),
        (output_file, "none/x.onnx", "not written: its folder is not there"),
        (output_file, "file/x.onnx", "not written: Not a directory"),
        (run_folder, "file", "file is no folder"),
        (run_folder, "file/run", "file is no folder"),
    ):
        with pytest.raises(click.BadParameter, match=message):
            read(str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_empty_text_is_no_path():
    """As of a variable of a shell script that is not set: it is not the working directory."""
    params = [param for command in main.commands.values() for param in command.params]
    paths = [param.type for param in params if isinstance(param.type, click.Path)]
    assert len(paths) > 10
    for kind in paths:
        with pytest.raises(click.BadParameter):
            kind.convert("", None, None)
    for read in (output_file, run_folder, settings_file):
        with pytest.raises(click.BadParameter, match="it is empty"):
            read("")


def test_several_targets_stand_behind_each_other():
    assert latencies("20ms, 0.5s") == (20.0, 500.0)
    assert speedups("2,4.5") == (2.0, 4.5)
    assert macs("2G,500M,3000") == (2e9, 5e8, 3000.0)
    assert macs("0.5,.25") == (0.5, 0.25)
    for read, text in (
        (latencies, "20ms,"),
        (speedups, "2,,4"),
        (speedups, "2,1"),
        (macs, "2X"),
        (macs, "9" * 400),
    ):
        with pytest.raises(click.BadParameter):
            read(text)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (Number(1, min_open=True), "abc", "'abc' is not a number"),
        (Number(1, min_open=True), "nan", "'nan' is not a number"),
        (Number(1, min_open=True), "1", "1 is out of bounds: give a number above 1"),
        (Number(-1, 1), "-2", "-2 is out of bounds: give a number of -1 or more and 1 or less"),
        (Number(max=1, max_open=True), "1", "1 is out of bounds: give a number below 1"),
        (Whole(min=1), "abc", "'abc' is not a whole number"),
        (Whole(min=1), "1.5", "'1.5' is not a whole number"),
        (Whole(min=1), "0", "0 is out of bounds: give a number of 1 or more"),
    ],
)
def test_wrong_numbers_are_answered_in_plain_words(kind, text, message):
    with pytest.raises(click.BadParameter) as error:
        kind.convert(text, None, None)
    assert error.value.message == message


def test_no_option_has_the_words_of_click():
    """Every number that an option takes is one of the kinds above."""
    kinds = {
        type(param.type)
        for command in main.commands.values()
        for param in command.params
        if isinstance(param.type, click.types.FloatParamType | click.types.IntParamType)
    }
    assert kinds == {Number, Whole}
