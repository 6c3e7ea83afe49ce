"""Where every command may write to: files, links, pipes; and what it says where it may not."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import onnx
import pytest

from decig.device.measure import rewriting
from decig.device.run.timing import Timing
from tests.samples import PIXELS, decig, write_generator, write_photos

COMMANDS = {
    "profile": ("profile", "{model}", "--quick", "-o"),
    "slice": ("slice", "{model}", "--keep", 0.5, "-o"),
    "export": ("export", "{model}", "-o"),
    "check": (
        *("check", "{model}", "--reference", "{model}", "--data", "{photos}", *PIXELS),
        "--grid",
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("outputs")
    model, photos = write_generator(folder / "m.onnx", size=12), write_photos(folder / "photos", 1)
    return {"model": model, "photos": photos}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewriting, "COMPARISON", Timing(max_seconds=0.01))


def asked(command: str, places: dict[str, Path], out: Path) -> list[str]:
    return [*(str(part).format(**places) for part in COMMANDS[command]), str(out)]


def is_whole(command: str, content: bytes) -> bool:
    if command == "profile":
        return "nodes" in json.loads(content)
    if command == "check":
        return content.startswith(b"\x89PNG")
    return bool(onnx.load_model_from_string(content).graph.node)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_stays_and_its_file_is_written(command: str, places: dict, tmp_path: Path):
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    result = decig(*asked(command, places, link))
    assert result.exit_code == 0, result.stderr
    assert link.is_symlink()
    assert is_whole(command, real.read_bytes())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_pipe_stays_and_is_written_through(command: str, places: dict, tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    result = decig(*asked(command, places, pipe))
    reader.join(timeout=120)
    assert result.exit_code == 0, result.stderr
    assert is_whole(command, found[0])
    assert stat.S_ISFIFO(pipe.stat().st_mode)


SMALL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from decig.cli.main import main
from decig import files
write = files.atomic_path
def on_a_full_disk(target):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    return write(target)
files.atomic_path = on_a_full_disk
from decig.data import sheet
sheet.atomic_path = on_a_full_disk
main()
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_line_and_leaves_nothing(command: str, places: dict, tmp_path: Path):
    """A limit on the size of files, set when writing begins, stands for a disk that is full."""
    out = tmp_path / "out"
    arguments = [sys.executable, "-c", SMALL_DISK, *asked(command, places, out)]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"decig: error: {out}: not written: File too large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_written_is_refused_before_anything_is_read(command: str, tmp_path: Path):
    """The model is not even there."""
    places = {"model": tmp_path / "none.onnx", "photos": tmp_path}
    for out in (tmp_path, tmp_path / "none" / "out"):
        result = decig(*asked(command, places, out))
        assert result.exit_code == 2
        assert f"{out}: not written" in result.stderr
