"""Files: whole or not at all."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.errors import BadInputError, DecigError
from decig.files import atomic_path, json_text, read_json, write_bytes, write_json

# ONNX Runtime, in other tests, may have set the processor to flush subnormal numbers.
FLOATS = st.floats(allow_subnormal=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(),
    lambda part: st.lists(part) | st.tuples(part, part) | st.dictionaries(st.text(), part),
    max_leaves=10,
)


def test_a_file_appears_whole(tmp_path: Path):
    target = tmp_path / "out.bin"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_old_content(tmp_path: Path, error: type[BaseException]):
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told_in_one_line(tmp_path: Path):
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with (
        pytest.raises(DecigError, match=r"out\.bin: not written: No space left") as caught,
        atomic_path(target) as temporary,
    ):
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert caught.value.exit_code == 1
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_bad_input(tmp_path: Path):
    target = tmp_path / "nowhere" / "out.bin"
    with pytest.raises(BadInputError, match=r"out\.bin: cannot write there: No such file"):
        write_bytes(target, b"")


def test_a_folder_in_the_way_is_told(tmp_path: Path):
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(DecigError, match="out: not written"):
        write_bytes(target, b"")
    assert list(tmp_path.iterdir()) == [target]


def test_the_umask_decides_who_may_read(tmp_path: Path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "out.bin", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.bin").stat().st_mode) == 0o640


def test_json_survives_its_file(tmp_path: Path):
    value = {"a": [1, 2.5, None], "b": {"c": "d"}}
    write_json(tmp_path / "x.json", value | {"a": (1, 2.5, float("nan"))})
    assert read_json(tmp_path / "x.json", "table") == value
    assert (tmp_path / "x.json").read_text().endswith("}\n")


@given(JSON)
def test_json_that_is_written_is_strict(value: object):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    again = json.loads(json_text(value), parse_constant=refuse)
    # What Python's own reader and writer make of it, with null for what is no number.
    plain = json.loads(json.dumps(value), parse_constant=lambda _: None)
    assert again == plain


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this table is not valid JSON"),
        (b"{", "this table is not valid JSON"),
        (b"\xff\xfe\x00", "this table is not valid JSON"),
        (b"[1]", "this table is not a JSON object"),
        (b"null", "this table is not a JSON object"),
    ],
)
def test_bad_json_is_told_in_one_line(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        read_json(path, "table")
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_missing_json_is_told(tmp_path: Path):
    with pytest.raises(BadInputError, match="cannot read this table: No such file"):
        read_json(tmp_path / "x.json", "table")
