import pytest
import torch
from torch import nn

from decig.errors import BadInputError
from decig.train.nets.multiscale import (
    MultiscaleDiscriminator,
    initialise_xavier,
    normalise_spectrally,
)


def _net(width: int = 4) -> MultiscaleDiscriminator:
    torch.manual_seed(0)
    net = MultiscaleDiscriminator(7, width)
    initialise_xavier(net)
    normalise_spectrally(net, net.NORMED)
    return net


def test_layers_are_as_wide_and_as_large_as_gaugans():
    judged = _net()(torch.randn(2, 4, 64, 64), torch.randn(2, 3, 64, 64))
    shapes = [[tuple(value.shape[1:]) for value in layers] for layers in judged]
    assert shapes == [
        [(4, 33, 33), (8, 17, 17), (16, 9, 9), (32, 10, 10), (1, 11, 11)],
        [(4, 17, 17), (8, 9, 9), (16, 5, 5), (32, 6, 6), (1, 7, 7)],
    ]


def test_it_has_the_parameters_of_the_public_one():
    # 13 labels and 3 channels of the picture, two scales, width 64.
    net = MultiscaleDiscriminator(16, 64)
    assert sum(parameter.numel() for parameter in net.parameters()) == 5554306


def test_the_second_scale_sees_half_of_the_picture():
    net = _net()
    image = torch.randn(1, 7, 64, 64)
    half = nn.functional.avg_pool2d(image, 3, 2, 1, count_include_pad=False)
    net.eval()
    with torch.no_grad():
        found, wanted = net(image)[1], net.scales[1](half)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_the_layers_in_the_middle_have_a_largest_singular_value_of_1():
    net = _net(8)
    for _ in range(60):
        net(torch.randn(1, 7, 32, 32))
    net.eval()
    normed = {n: part for n, part in net.named_modules() if hasattr(part, "parametrizations")}
    assert sorted(normed) == [f"scales.{k}.parts.{n}.0" for k in (0, 1) for n in (1, 2, 3)]
    for part in normed.values():
        largest = torch.linalg.matrix_norm(part.weight.flatten(1), 2)
        assert largest.item() == pytest.approx(1.0, abs=0.02)


def test_initial_weights_are_xaviers_with_a_small_gain():
    net = MultiscaleDiscriminator(7, 16)
    torch.manual_seed(3)
    initialise_xavier(net)
    layer = net.scales[0].parts[2][0]
    fans = (layer.in_channels + layer.out_channels) * 16
    assert layer.weight.std().item() == pytest.approx(0.02 * (2 / fans) ** 0.5, rel=0.05)
    assert not net.scales[0].judge.bias.any()


def test_layers_are_chosen_by_their_names():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Sequential(nn.Linear(4, 4)))
    normalise_spectrally(net, ["2.*"])
    assert hasattr(net[2][0], "parametrizations") and not hasattr(net[0], "parametrizations")
    normalise_spectrally(net, [])
    for pattern in ("1", "first", "3.*"):
        with pytest.raises(BadInputError, match=r"no layer is called .*; there are 0, 2\.0"):
            normalise_spectrally(net, [pattern])


def test_a_layer_that_two_patterns_name_is_normalised_once():
    net = nn.Sequential(nn.Conv2d(3, 4, 1))
    normalise_spectrally(net, ["0", "*"])
    assert len(net[0].parametrizations["weight"]) == 1
