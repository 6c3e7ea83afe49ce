import pytest
import torch
from torch import nn

from decig.training.nets.patch_gan import PatchDiscriminator, initialise


def test_one_logit_for_each_patch_of_70_pixels():
    net = PatchDiscriminator(channels=6, width=4)
    pair = torch.zeros(2, 3, 128, 128), torch.zeros(2, 3, 128, 128)
    assert net(*pair).shape == (2, 1, 14, 14)
    # Without the norms, which look at everything, a logit depends on 70x70 pixels.
    plain = torch.nn.Sequential(
        *(layer for layer in net.model if not isinstance(layer, torch.nn.InstanceNorm2d))
    )
    image = torch.randn(1, 6, 128, 128, requires_grad=True)
    plain(image)[0, 0, 7, 7].backward()
    rows = image.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


def test_initial_weights_are_small_and_seeded():
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        net = PatchDiscriminator(width=16)
        initialise(net)
        weights.append(net.model[2].weight)
    assert torch.equal(*weights)
    assert weights[0].std().item() == pytest.approx(0.02, rel=0.05)
    assert not net.model[0].bias.any()


def test_scales_of_batch_norms_are_drawn_around_one():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(4000), nn.InstanceNorm2d(8, affine=True))
    nn.init.ones_(net[1].bias)
    initialise(net)
    assert net[1].weight.mean().item() == pytest.approx(1, abs=0.002)
    assert net[1].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not net[1].bias.any()
    assert torch.equal(net[2].weight, torch.ones(8))


@pytest.mark.parametrize("norm", ["affine", "batch", "instance"])
def test_sizes_are_read_off_the_weights(norm):
    net = PatchDiscriminator(channels=5, width=4, depth=4, norm=norm)
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    assert PatchDiscriminator.read_sizes(shapes) == {
        "channels": 5, "width": 4, "depth": 4, "norm": norm,
    }  # fmt: skip


def test_weights_of_another_net_have_no_sizes():
    shapes = {"model.0.weight": (4, 3, 4, 4), "model.2.weight": (3, 4, 4, 4)}
    for found in (shapes, {"model.0.weight": (4, 3, 7, 7)}, {}):
        with pytest.raises((LookupError, ValueError)):
            PatchDiscriminator.read_sizes(found)


def test_a_judgement_shows_every_layer_on_the_way():
    net = PatchDiscriminator(channels=6, width=4)
    pair = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    (layers,) = net.judge(*pair)
    assert [tuple(layer.shape[1:]) for layer in layers] == [
        (4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 3, 3), (1, 2, 2),
    ]  # fmt: skip
    assert torch.equal(layers[-1], net(*pair))


@pytest.mark.parametrize("depth", [0, 1, 3, 4])
def test_the_least_side_is_the_least_that_can_be_judged(depth):
    net = PatchDiscriminator(3, 4, depth=depth)
    assert net(torch.rand(1, 3, net.smallest, net.smallest)).numel() >= 1
    with pytest.raises((RuntimeError, ValueError)):
        net(torch.rand(1, 3, net.smallest - 1, net.smallest - 1))
