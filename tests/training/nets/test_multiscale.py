import pytest
import torch
from torch import nn

from decig.errors import BadInputError
from decig.training.nets.multiscale import (
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


def test_it_has_the_parameters_of_the_public_one():
    # 13 labels and 3 channels of the picture, two scales, width 64.
    net = MultiscaleDiscriminator(16, 64)
    assert sum(parameter.numel() for parameter in net.parameters()) == 5554306


def test_the_layers_in_the_middle_have_a_largest_singular_value_of_1():
    net = _net(8)
    for _ in range(60):
        net(torch.randn(1, 7, 32, 32))
    net.eval()
    normed = {n: part for n, part in net.named_modules() if hasattr(part, "parametrizations")}
    assert sorted(normed) == [f"discriminator_{k}.model{n}.0.0" for k in (0, 1) for n in (1, 2, 3)]
    for part in normed.values():
        largest = torch.linalg.matrix_norm(part.weight.flatten(1), 2)
        assert largest.item() == pytest.approx(1.0, abs=0.02)


def test_initial_weights_are_xaviers_with_a_small_gain():
    net = MultiscaleDiscriminator(7, 16)
    torch.manual_seed(3)
    initialise_xavier(net)
    layer = net.discriminator_0.model2[0][0]
    fans = (layer.in_channels + layer.out_channels) * 16
    assert layer.weight.std().item() == pytest.approx(0.02 * (2 / fans) ** 0.5, rel=0.05)
    assert not net.discriminator_0.model4[0].bias.any()


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


def test_every_scale_shows_its_features_and_ends_in_logits():
    net = MultiscaleDiscriminator(channels=5, width=4, scales=2, layers=4)
    judged = net(torch.zeros(2, 2, 64, 64), torch.zeros(2, 3, 64, 64))
    assert [[tuple(x.shape) for x in features] for features in judged] == [
        [(2, 4, 33, 33), (2, 8, 17, 17), (2, 16, 9, 9), (2, 32, 10, 10), (2, 1, 11, 11)],
        [(2, 4, 17, 17), (2, 8, 9, 9), (2, 16, 5, 5), (2, 32, 6, 6), (2, 1, 7, 7)],
    ]


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_the_least_side_is_the_least_that_can_be_judged(scales):
    net = MultiscaleDiscriminator(3, 4, scales=scales)
    assert len(net.judge(torch.rand(1, 3, net.smallest, net.smallest))) == scales
    with pytest.raises((RuntimeError, ValueError)):
        net(torch.rand(1, 3, net.smallest - 1, net.smallest - 1))


def test_the_second_scale_sees_the_picture_in_half():
    torch.manual_seed(0)
    net = MultiscaleDiscriminator(channels=3, width=4).eval()
    net.discriminator_1.load_state_dict(net.discriminator_0.state_dict())
    picture = torch.rand(1, 3, 64, 64)
    half = torch.nn.functional.avg_pool2d(picture, 3, 2, 1, count_include_pad=False)
    with torch.no_grad():
        assert torch.equal(net(picture)[1][-1], net(half)[0][-1])


def test_widths_end_at_the_widest():
    shapes = {k: tuple(v.shape) for k, v in _meta(width=64, layers=6).state_dict().items()}
    assert shapes["discriminator_0.model5.0.0.weight"] == (512, 512, 4, 4)
    assert MultiscaleDiscriminator.read_sizes(shapes) == {
        "channels": 3, "width": 64, "scales": 2, "layers": 6,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["model.0.weight", "discriminator_0.model0.0.weight"])
def test_other_weights_are_no_discriminator(name):
    with pytest.raises((LookupError, ValueError)):
        MultiscaleDiscriminator.read_sizes({name: (4, 3, 3, 3)})


def _meta(**sizes: int) -> MultiscaleDiscriminator:
    with torch.device("meta"):
        return MultiscaleDiscriminator(3, **sizes)


def test_the_spectral_norm_is_computed_in_float32(monkeypatch):
    net, times, seen = nn.Conv2d(3, 4, 1), torch.mv, []
    normalise_spectrally(net := nn.Sequential(net), ["0"])

    def watched(*arguments, **more):
        seen.append(torch.is_autocast_enabled("cpu"))
        return times(*arguments, **more)

    monkeypatch.setattr(torch, "mv", watched)
    with torch.autocast("cpu", torch.bfloat16):
        found = net(torch.ones(1, 3, 2, 2))
    assert found.dtype == torch.bfloat16 and seen and not any(seen)
