from pathlib import Path

import pytest
import torch
from torch import nn

from decig.errors import BadInputError
from decig.training.pytorch.checkpoint import Checkpoint, join


def _saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "w.pth")
    return folder / "w.pth"


def test_every_dictionary_and_every_prefix_is_offered(tmp_path):
    net = nn.Sequential(nn.Linear(2, 3))
    bare = net.state_dict()
    prefixed = {f"module.{key}": value for key, value in bare.items()}
    checkpoint = Checkpoint.read(_saved(tmp_path, {"G": {"deep": bare}, "E": prefixed, "step": 3}))
    parts = dict(checkpoint.parts(net))
    assert parts.keys() == {"G.deep", "E", "E.module"}
    assert parts["E.module"].keys() == parts["G.deep"].keys() == bare.keys()
    assert parts["E"].keys() == prefixed.keys()


def test_a_key_behind_the_file_chooses(tmp_path):
    net = nn.Linear(2, 3)
    path = _saved(tmp_path, {"ema": {"net": net.state_dict()}, "net": net.state_dict()})
    names = [name for name, _ in Checkpoint.read(Path(f"{path}:net")).parts(net)]
    assert names == ["ema.net", "net"]
    assert [n for n, _ in Checkpoint.read(Path(f"{path}:ema.net")).parts(net)] == ["ema.net"]
    with pytest.raises(BadInputError, match=r"w\.pth: holds no weights under 'et'"):
        Checkpoint.read(Path(f"{path}:et")).parts(net)


def test_only_an_onnx_file_may_hold_more_than_the_net_takes():
    assert not Checkpoint(Path("w.onnx"), {}).whole
    assert Checkpoint(Path("w.safetensors"), {}).whole


def test_parts_of_keys_are_joined():
    assert (join("a", "b.c"), join("", "b"), join("a", ""), join("", "")) == ("a.b.c", "b", "a", "")
