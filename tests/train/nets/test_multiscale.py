import pytest
import torch

from decig.train.nets.multiscale import MultiscaleDiscriminator


def test_every_scale_shows_its_features_and_ends_in_logits():
    net = MultiscaleDiscriminator(channels=5, width=4, scales=2, layers=4)
    judged = net(torch.zeros(2, 2, 64, 64), torch.zeros(2, 3, 64, 64))
    assert [[tuple(x.shape) for x in features] for features in judged] == [
        [(2, 4, 33, 33), (2, 8, 17, 17), (2, 16, 9, 9), (2, 32, 10, 10), (2, 1, 11, 11)],
        [(2, 4, 17, 17), (2, 8, 9, 9), (2, 16, 5, 5), (2, 32, 6, 6), (2, 1, 7, 7)],
    ]


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
