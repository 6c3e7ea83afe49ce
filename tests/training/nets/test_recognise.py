import torch
from torch import nn

from decig.training.nets.multiscale import MultiscaleDiscriminator
from decig.training.nets.patch_gan import PatchDiscriminator
from decig.training.nets.recognise import DISCRIMINATORS, discriminator_in


def _shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def test_each_kind_is_told_from_the_others():
    nets = [PatchDiscriminator(3, 4), MultiscaleDiscriminator(3, 4)]
    assert [discriminator_in(_shapes(net)) for net in nets] == list(DISCRIMINATORS)


def test_generators_are_none():
    net = nn.Sequential()
    net.model = nn.Sequential(nn.Conv2d(3, 4, 4), nn.ReLU(), nn.Conv2d(4, 3, 4))
    assert discriminator_in(_shapes(net)) is None
    assert discriminator_in({"weight": tuple(torch.zeros(3).shape)}) is None
