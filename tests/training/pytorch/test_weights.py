import argparse
from pathlib import Path, PurePosixPath

import pytest
import safetensors.torch
import torch
from torch import nn

from decig.errors import BadInputError
from decig.training.pytorch.checkpoint import Checkpoint
from decig.training.pytorch.exporter import export_onnx
from decig.training.pytorch.weights import load_weights


def _net(seed: int, width: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.Conv2d(width, 3, 1)
    )


def _prefixed(prefix: str, seed: int = 1) -> dict[str, torch.Tensor]:
    return {f"{prefix}{key}": value for key, value in _net(seed).state_dict().items()}


def _load(path: Path, net: nn.Module | None = None) -> bool:
    """Load into a net of other weights; returns whether it has those of seed 1 then."""
    net = net or _net(0)
    load_weights(net, Checkpoint.read(path), "net")
    return torch.equal(net[0].weight, _net(1)[0].weight)


SPELLINGS = {
    "plain": _prefixed(""),
    "DataParallel": _prefixed("module."),
    "compiled": _prefixed("_orig_mod.module."),
    "state_dict": {"state_dict": _prefixed("module."), "epoch": 3},
    "netG": {"netG": _prefixed(""), "netD": {"0.weight": torch.zeros(1)}},
    "lightning": {"state_dict": _prefixed("generator.") | {"critic.0.weight": torch.zeros(2)}},
    "mean preferred": {"g": _prefixed("", seed=2), "g_ema": _prefixed("")},
    "options beside it": {"args": argparse.Namespace(batch=4), "g_ema": _prefixed("")},
    "optimiser beside it": {"model": _prefixed(""), "o": {"state": {0: {"m": torch.zeros(1)}}}},
    "no counter": {k: v for k, v in _prefixed("").items() if "num_batches" not in k},
    "half": {k: v.half() if v.is_floating_point() else v for k, v in _prefixed("").items()},
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_checkpoints(tmp_path, name):
    path = tmp_path / "w.pth"
    torch.save(SPELLINGS[name], path)
    if name == "half":
        net = _net(0)
        load_weights(net, Checkpoint.read(path), "net")
        assert torch.equal(net[0].weight, _net(1)[0].weight.half().float())
    else:
        assert _load(path)


def test_safetensors_and_onnx(tmp_path):
    safetensors.torch.save_file(_prefixed("module."), tmp_path / "w.safetensors")
    assert _load(tmp_path / "w.safetensors")
    export_onnx(_net(1), {"input": [1, 3, 8, 8]}, tmp_path / "w.onnx")
    assert _load(tmp_path / "w.onnx")


def test_spectral_norm_in_file_and_module(tmp_path):
    net = _net(1)
    nn.utils.spectral_norm(net[0])
    net(torch.zeros(1, 3, 8, 8))
    torch.save(net.state_dict(), tmp_path / "w.pth")
    bare, normed = _net(0), _net(0)
    nn.utils.parametrizations.spectral_norm(normed[0])
    for fresh in (bare, normed):
        load_weights(fresh, Checkpoint.read(tmp_path / "w.pth"), "net")
        with torch.no_grad():
            assert torch.allclose(fresh(torch.ones(1, 3, 8, 8)), net.eval()(torch.ones(1, 3, 8, 8)))


def test_statistics_that_an_instancenorm_does_not_keep(tmp_path):
    norm = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    torch.save(nn.Sequential(norm).state_dict(), tmp_path / "w.pth")
    load_weights(
        nn.Sequential(nn.InstanceNorm2d(4, affine=True)), Checkpoint.read(tmp_path / "w.pth"), "net"
    )


def test_two_that_fit_must_be_told_apart(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"genA2B": _prefixed(""), "genB2A": _prefixed("", seed=2)}, path)
    with pytest.raises(BadInputError, match=r"genA2B, genB2A; choose one as in .*w\.pth:genB2A"):
        _load(path)
    assert _load(tmp_path / "w.pth:genA2B")
    with pytest.raises(BadInputError, match=r"w\.pth: holds no weights under 'genC'"):
        _load(tmp_path / "w.pth:genC")


def test_every_kind_of_mismatch_is_listed(tmp_path):
    state = _prefixed("module.")
    state["module.extra"] = torch.zeros(1)
    del state["module.2.bias"]
    state["module.0.weight"] = torch.zeros(4, 3, 5, 5)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(BadInputError) as caught:
        _load(tmp_path / "w.pth")
    assert str(caught.value) == (
        f"{tmp_path}/w.pth (under module): does not fit net: 1 missing (2.bias); "
        "1 not expected (extra); 1 of another shape (0.weight 4x3x5x5 instead of 4x3x3x3)"
    )


def test_another_architecture(tmp_path):
    torch.save(nn.LSTM(3, 4, 5).state_dict(), tmp_path / "w.pth")
    with pytest.raises(BadInputError, match=r"8 missing \(0.weight, .* and 2 more\); 20 not exp"):
        _load(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"net": _prefixed(""), "opt": PurePosixPath("a")}, r"\(pathlib\.\S*PurePosixPath\)"),
        ({"args": argparse.Namespace(a=PurePosixPath("a"))}, r"\(pathlib\.\S*PurePosixPath\)"),
        (_net(1), r"\(torch\.nn\..*Sequential\), which can run code and are never unpickled"),
        ([torch.zeros(1)], "holds a list, not a dictionary"),
        ({"epoch": 3}, "holds no weights"),
    ],
)
def test_files_that_hold_something_else(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(BadInputError, match=message) as caught:
        _load(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript(tmp_path):
    torch.jit.save(torch.jit.trace(_net(1).eval(), torch.zeros(1, 3, 8, 8)), tmp_path / "w.pt")
    with pytest.raises(BadInputError, match=r"w\.pt: .* it is a TorchScript archive; save"):
        _load(tmp_path / "w.pt")


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "onnx"])
def test_missing_and_damaged_files(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    with pytest.raises(BadInputError, match=rf"w\.{suffix}: cannot read these weights: No such"):
        _load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(BadInputError, match=rf"w\.{suffix}: cannot be read as weights"):
        _load(path)
