from pathlib import Path

import pytest
import torch
from torch import nn

from decig.errors import BadInputError
from decig.training.nets.multiscale import MultiscaleDiscriminator, normalise_spectrally
from decig.training.nets.patch_gan import PatchDiscriminator
from decig.training.pytorch.discriminator import digest, load_discriminator, save_discriminator

NETS = {
    "pix2pix": lambda: PatchDiscriminator(6, 8, norm="batch"),
    "cyclegan": lambda: PatchDiscriminator(3, 4, depth=2, norm="instance"),
    "decig": lambda: PatchDiscriminator(4, 4),
    "spade": lambda: MultiscaleDiscriminator(16, 4, scales=3, layers=3),
}


def _save(folder: Path, net: nn.Module, *, spectral: bool = False) -> Path:
    if spectral:
        for part in net.modules():
            if isinstance(part, nn.Conv2d) and part.bias is None:
                nn.utils.spectral_norm(part)
    state = {f"module.{key}": value for key, value in net.eval().state_dict().items()}
    torch.save(state, folder / "D.pth")
    return folder / "D.pth"


@pytest.mark.parametrize("name", NETS)
def test_the_size_is_read_off_the_weights(tmp_path, name):
    torch.manual_seed(0)
    net = NETS[name]()
    x = torch.rand(1, net.channels, 48, 48)
    found = load_discriminator(_save(tmp_path, net, spectral=name == "spade"))
    assert type(found) is type(net)
    assert not found.training
    with torch.no_grad():
        torch.testing.assert_close(found(x), net(x))


def test_other_files_are_refused(tmp_path):
    path = _save(tmp_path, nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 1)))
    with pytest.raises(BadInputError, match=r"D\.pth: holds no discriminator of a known kind: Pa"):
        load_discriminator(path)


def test_one_of_several_is_chosen_by_its_name(tmp_path):
    nets = {name: PatchDiscriminator(3, 4, norm="instance") for name in ("D_A", "D_B")}
    torch.save({name: net.state_dict() for name, net in nets.items()}, tmp_path / "D.pth")
    with pytest.raises(BadInputError, match=r"several sets of weights fit .*: D_A, D_B; choose"):
        load_discriminator(tmp_path / "D.pth")
    found = load_discriminator(tmp_path / "D.pth:D_B")
    assert torch.equal(found.model[0].weight, nets["D_B"].model[0].weight)


@pytest.mark.parametrize("name", NETS)
def test_what_is_saved_is_read_again(tmp_path, name):
    torch.manual_seed(0)
    net = NETS[name]()
    if name == "spade":
        normalise_spectrally(net, net.NORMED)
    net.eval()
    x = torch.rand(1, net.channels, 48, 48)
    save_discriminator(net, tmp_path / "D.safetensors")
    found = load_discriminator(tmp_path / "D.safetensors")
    assert any("parametrizations" in key for key in net.state_dict()) is (name == "spade")
    with torch.no_grad():
        torch.testing.assert_close(found(x), net(x))


def test_weights_are_known_wherever_they_lie(tmp_path):
    torch.manual_seed(0)
    net = PatchDiscriminator(6, 4)
    torch.save(net.state_dict(), tmp_path / "D.pth")
    save_discriminator(net, tmp_path / "moved.safetensors")
    one, other = (load_discriminator(tmp_path / n) for n in ("D.pth", "moved.safetensors"))
    assert digest(one) == digest(other)
    with torch.no_grad():
        other.model[0].bias[0] += 1e-3
    assert digest(one) != digest(other)
