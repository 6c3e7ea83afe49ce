"""Files become typed records, or one line that names the file and the key."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.schema import Count, Positive, Share, WrittenByHand, convert, read_json, read_toml
from tests.samples import generator


class Stage(WrittenByHand):
    crop: Annotated[int, msgspec.Meta(ge=32)] = 64
    rate: Positive = 0.1


@dataclass(frozen=True)
class Part:
    depth: int

    def __post_init__(self):
        if self.depth < 0:
            raise BadInputError(f"a depth is never {self.depth}")


class File(WrittenByHand):
    stages: list[Stage]
    mode: Literal["a", "b"] = "a"
    share: Share = 1.0
    counts: dict[str, Count] = {}  # noqa: RUF012 (msgspec copies it)
    last: Stage | None = None
    nested: dict[str, dict[str, dict[str, int]]] = {}  # noqa: RUF012
    part: Part | None = None
    parts: list[Part] = []  # noqa: RUF012


WRONG = [
    ("", "stages is missing"),
    ("stages = 3", "stages: expected `array`, not 3"),
    ("stages = [{crop = 3}]", "stages[0].crop: expected `int` >= 32, not 3"),
    ("stages = [{crop = 64.5}]", "stages[0].crop: expected `int`, not 64.5"),
    ("stages = [{crop = true}]", "stages[0].crop: expected `int`, not True"),
    ("stages = [{rate = 0}]", "stages[0].rate: expected `float` > 0, not 0"),
    ("stages = [{rate = nan}]", "stages[0].rate: not a finite number"),
    ("stages = [{corp = 64}]", "unknown key stages[0].corp; known: crop, rate"),
    ("stage = []", "unknown key stage; known: stages, mode, share, counts, last, nested, part, "),
    ("stages = []\nlast = {corp = 1}", "unknown key last.corp; known: crop, rate"),
    ("stages = []\nmode = 'c'", "mode: expected one of a, b, not 'c'"),
    ("stages = []\nshare = 1.5", "share: expected `float` <= 1.0, not 1.5"),
    ("stages = []\nshare = inf", "share: not a finite number"),
    ("stages = []\ncounts = {x = -1}", "counts.x: expected `int` >= 0, not -1"),
    ("stages = []\ncounts = {a = 1, 'b.0' = 'c'}", "counts.b.0: expected `int`, not 'c'"),
    ("stages = []\nnested = {a = {b = {c = 1, d = 2.5}}}", "nested.a.b.d: expected `int`, not 2.5"),
    ("stages = []\npart = {depth = 1, height = 2}", "unknown key part.height; known: depth"),
    ("stages = []\nparts = [{depth = 1}, {d = 2}]", "unknown key parts[1].d; known: depth"),
    ("stages = []\npart = {depth = -1}", "a depth is never -1"),
    ("stages = [", "this file is not valid TOML"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_one_line_with_file_and_key(tmp_path, text, message):
    file = tmp_path / "file.toml"
    file.write_text(text)
    with pytest.raises(BadInputError) as caught:
        read_toml(file, File, "file")
    assert str(caught.value).startswith(f"{file}: {message}")
    assert "\n" not in str(caught.value)


def test_values_defaults_and_a_byte_order_mark(tmp_path):
    file = tmp_path / "file.toml"
    file.write_text("\ufeffstages = [{rate = 1}]\nlast = {crop = 32}", encoding="utf-8")
    assert read_toml(file, File, "file") == File(stages=[Stage(rate=1.0)], last=Stage(crop=32))


def test_json_and_a_missing_file(tmp_path):
    file = tmp_path / "file.json"
    with pytest.raises(BadInputError, match=r"cannot read this plan: No such file"):
        read_json(file, File, "plan")
    file.write_bytes(b'{"stages": []}')
    assert read_json(file, File, "plan") == File(stages=[])
    file.write_bytes(b"\xff\xfe{")
    with pytest.raises(BadInputError, match="this plan is not valid JSON"):
        read_json(file, File, "plan")
    file.write_text("[" * 100_000)
    with pytest.raises(BadInputError, match="this plan is not valid JSON"):
        read_json(file, File, "plan")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this table is not valid JSON"),
        (b"{", "this table is not valid JSON"),
        (b"\xff\xfe\x00", "this table is not valid JSON"),
        (b"[1]", "expected `object`, not"),
        (b"null", "expected `object`, not"),
    ],
)
def test_bad_json_is_told_in_one_line(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        read_json(path, dict[str, Any], "table")
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_half_a_surrogate_is_no_text(tmp_path):
    class Named(msgspec.Struct):
        name: Literal["one", "two"]

    (tmp_path / "f.json").write_text('{"name": "\\ud800"}')
    with pytest.raises(BadInputError, match="which is no text"):
        read_json(tmp_path / "f.json", Named, "thing")


def test_0_is_not_positive_where_subnormal_numbers_are_read_as_zero():
    """As ONNX Runtime sets the thread that opens one of decig's sessions."""
    Device.of().open(generator())
    for rate in (0, 0.0, -1e-3):
        with pytest.raises(BadInputError, match="rate: expected `float` > 0, not"):
            convert({"rate": rate}, Stage, "file")
    assert convert({"rate": 1e-300}, Stage, "file").rate == 1e-300


def test_a_struct_may_ignore_keys_and_a_nest_has_an_end():
    class Loose(msgspec.Struct):
        a: int = 0

    assert convert({"a": 1, "b": 2}, Loose, "file") == Loose(a=1)
    assert convert({"a": 1, "b": 2}, Loose, "file", strict=True) == Loose(a=1)
    more = {"depth": 1, "height": 2}
    assert convert(more, Part, "file") == Part(1)
    with pytest.raises(BadInputError, match="file: unknown key height; known: depth"):
        convert(more, Part, "file", strict=True)
    nest: object = []
    for _ in range(5000):
        nest = [nest]
    with pytest.raises(BadInputError, match="file: nested too deeply"):
        convert({"stages": nest}, File, "file")


# ONNX Runtime lets denormals count as 0, in the whole process once it has run.
NUMBERS = st.floats(allow_subnormal=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text() | st.sampled_from(["stages", "nested", "part", "parts", "depth"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_is_read_ends_in_a_record_or_in_one_error(value):
    try:
        assert isinstance(convert(value, File, "file"), File)
    except BadInputError as error:
        assert str(error).startswith("file: ")
