import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from decig.errors import BadInputError, DecigError
from decig.training.loop.state import read_state, reading_state, write_state


def test_a_state_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    write_state(file, {"step": 3, "weights": torch.arange(4)})
    found = read_state(file)
    assert found["step"] == 3 and found["weights"].tolist() == [0, 1, 2, 3]


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let the system refuse to write more into any file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("numbers", [10, 300_000])
def test_what_cannot_be_written_says_why_and_leaves_the_old_state(
    tmp_path: Path, numbers: int
) -> None:
    file = tmp_path / "state.pt"
    write_state(file, {"step": 3})
    state = {"step": 4, "weights": [torch.zeros(numbers) for _ in range(3)]}
    full = pytest.raises(DecigError, match=r"state\.pt: not written: File too large$")
    with full, files_no_larger_than(numbers * 8):
        write_state(file, state)
    assert read_state(file) == {"step": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DecigError, match=r"gone/state\.pt: not written: No such file"):
        write_state(tmp_path / "gone" / "state.pt", {"step": 1})


def test_there_must_be_a_state_to_read(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"state\.pt: no run to resume there"):
        read_state(tmp_path / "state.pt")
    (tmp_path / "state.pt").write_bytes(b"half a file")
    with pytest.raises(BadInputError, match=r"state\.pt: not the state of this run: \w"):
        read_state(tmp_path / "state.pt")


def test_whatever_is_wrong_with_a_state_is_one_line_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    wanted = r"^\S+state\.pt: not the state of this run: first$"
    with pytest.raises(DecigError, match=wanted), reading_state(file):
        raise RuntimeError("first\nsecond")
