"""Files: whole or not at all."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.errors import BadInputError, DecigError
from decig.files import (
    atomic_path,
    destination,
    json_text,
    make_folder,
    remove_leftovers,
    require_folder,
    require_writable,
    write_bytes,
    write_json,
)

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
    with pytest.raises(BadInputError, match=r"out\.bin: not written: No such file"):
        write_bytes(target, b"")


def test_a_folder_in_the_way_is_told(tmp_path: Path):
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(DecigError, match="out: not written"):
        write_bytes(target, b"")
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "far").mkdir()
    real, link, chain = tmp_path / "far" / "real.bin", tmp_path / "link", tmp_path / "chain"
    link.symlink_to(Path("far") / "real.bin")
    chain.symlink_to(link)
    for content in (b"through a dangling link", b"over what is there"):
        require_writable(chain)
        write_bytes(chain, content)
        assert real.read_bytes() == content
        assert link.is_symlink()
        assert chain.is_symlink()
        assert list((tmp_path / "far").iterdir()) == [real]
    assert sorted(tmp_path.iterdir()) == [chain, tmp_path / "far", link]


def test_links_in_a_circle_are_told(tmp_path: Path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.symlink_to(there)
    there.symlink_to(here)
    for write in (require_writable, lambda path: write_bytes(path, b"")):
        with pytest.raises(BadInputError, match="here: not written: Too many levels of symbolic"):
            write(here)
    assert here.is_symlink()


def test_a_pipe_gets_the_bytes_and_stays(tmp_path: Path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    content = os.urandom(300_000)  # more than a pipe holds
    for target in (pipe, link):
        found: list[bytes] = []
        reader = threading.Thread(target=lambda found=found: found.append(pipe.read_bytes()))
        reader.start()
        require_writable(target)
        write_bytes(target, content)
        reader.join(timeout=60)
        assert found == [content]
        assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_nothing_goes_through_a_pipe_before_it_is_whole(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(KeyboardInterrupt), atomic_path(pipe) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def device(path: Path, minor: int) -> Path:
    """Make a device like /dev/null (3) or /dev/full (7) that a mistake may replace."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        path.write_bytes(b"")
    except OSError:
        pytest.skip("only root can make a device, where the disk allows it")
    return path


def test_a_device_gets_the_bytes_and_stays(tmp_path: Path):
    null, full = device(tmp_path / "null", 3), device(tmp_path / "full", 7)
    require_writable(null)
    write_json(null, {"a": 1})
    with pytest.raises(DecigError, match="full: not written: No space left on device"):
        write_bytes(full, b"x")
    for path in (null, full):
        assert stat.S_ISCHR(path.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [full, null]


def test_what_a_process_has_open_is_written_through(tmp_path: Path):
    """`decig slice -o /dev/stdout > out.onnx`: the shell has opened that file."""
    assert destination(Path("/dev/stdout")).stream
    out = tmp_path / "out.bin"
    with out.open("wb") as opened:
        write_bytes(Path(f"/proc/self/fd/{opened.fileno()}"), b"content")
    assert out.read_bytes() == b"content"


def test_what_stands_in_a_file_that_is_open_stays(tmp_path: Path):
    """`decig check ... --junit /dev/stdout >> log`: the shell goes on behind what is there."""
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    program = (
        "from pathlib import Path; from decig.files import write_bytes\n"
        "print('said', flush=False); write_bytes(Path('/dev/stdout'), b'content\\n'); print('end')"
    )
    with log.open("ab") as opened:
        subprocess.run([sys.executable, "-c", program], stdout=opened, check=True, timeout=60)
    assert log.read_bytes() == b"before\nsaid\ncontent\nend\n"


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_text_goes_on_where_a_stream_is(tmp_path: Path, mode: str):
    """`decig check ... --markdown /dev/stdout > log`, and what the command prints behind it."""
    log = tmp_path / "log"
    program = (
        "from pathlib import Path; from decig.files import add_text\n"
        "print('said'); add_text(Path('/dev/stdout'), 'content\\n'); print('end')"
    )
    with log.open(mode) as opened:
        subprocess.run([sys.executable, "-c", program], stdout=opened, check=True, timeout=60)
    assert log.read_bytes() == b"said\ncontent\nend\n"


def test_a_file_that_may_not_be_written_is_known_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "x").write_bytes(b"")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).is_dir())
    with pytest.raises(BadInputError, match="x: not written: Permission denied"):
        require_writable(tmp_path / "x")


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path):
    """A limit on the size of files fails just as a full disk does."""
    program = (
        "import resource, signal, sys; from pathlib import Path; from decig.files import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(Path(sys.argv[1]), bytes(2000))\n"
    )
    target = tmp_path / "out.bin"
    command = [sys.executable, "-c", program, str(target)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.stderr.splitlines()[-1].endswith("out.bin: not written: File too large")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_keeps_its_permissions(tmp_path: Path):
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    target.chmod(0o600)
    write_bytes(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_name_as_long_as_names_may_be(tmp_path: Path):
    target = tmp_path / ("x" * 255)
    write_bytes(target, b"")
    assert list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_written_is_known_before(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    for check, name, message in (
        (require_writable, ".", "not written: it is a folder"),
        (require_writable, "none/x", "not written: its folder is not there"),
        (require_writable, "file/x", "not written: Not a directory"),
        (require_folder, "file", "file is no folder"),
        (require_folder, "file/x/y", "file is no folder"),
        (make_folder, "file/x", "not written: Not a directory"),
        (make_folder, "file", "not written: File exists"),
    ):
        with pytest.raises(BadInputError, match=message):
            check(tmp_path / name)
    for fine in ("a", "file"):
        require_writable(tmp_path / fine)
    require_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("flags", "message"), [(os.ST_RDONLY, "Read-only file system"), (0, "Permission denied")]
)
def test_where_writing_is_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, message: str
):
    """As root, who runs some tests, may write anywhere, the system's answers are made up."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=flags))
    for check in (require_writable, require_folder):
        with pytest.raises(BadInputError, match=f"x: not written: {message}"):
            check(tmp_path / "x")


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
    assert json.loads((tmp_path / "x.json").read_text()) == value
    assert (tmp_path / "x.json").read_text().endswith("}\n")


@given(JSON)
def test_json_that_is_written_is_strict(value: object):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    again = json.loads(json_text(value), parse_constant=refuse)
    # What Python's own reader and writer make of it, with null for what is no number.
    plain = json.loads(json.dumps(value), parse_constant=lambda _: None)
    assert again == plain


def test_what_a_killed_process_left_is_found_by_its_name(tmp_path: Path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.pt") as temporary:
        name = temporary.name
        raise RuntimeError
    for each in (name, ".b.json.12345678", "c.pt"):
        (tmp_path / each).touch()
    remove_leftovers(tmp_path, "*.pt")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".b.json.12345678", "c.pt"]
    remove_leftovers(tmp_path / "gone", "*.pt")
