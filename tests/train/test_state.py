from pathlib import Path

import pytest
import torch

from decig.errors import DecigError
from decig.train.state import reading_state, write_state


def test_a_state_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    write_state(file, {"step": 3, "weights": torch.arange(4)})
    with reading_state(file):
        found = torch.load(file, weights_only=True)
    assert found["step"] == 3 and found["weights"].tolist() == [0, 1, 2, 3]


def test_what_cannot_be_written_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "state.pt"
    write_state(file, {"step": 3})

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DecigError, match=r"state\.pt: not written: No space left"):
        write_state(file, {"step": 4})
    assert torch.load(file, weights_only=True) == {"step": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_whatever_is_wrong_with_a_state_is_one_line_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    wanted = r"^\S+state\.pt: not the state of this run: first$"
    with pytest.raises(DecigError, match=wanted), reading_state(file):
        raise RuntimeError("first\nsecond")
