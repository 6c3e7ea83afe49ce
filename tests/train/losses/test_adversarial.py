import math

import pytest
import torch

from decig.train.losses.adversarial import discriminator_loss, generator_loss


class _Judge(torch.nn.Module):
    """Logit = weight times the mean of the judged image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, source, image):
        return self.weight * image.mean(dim=(1, 2, 3))


SOURCE, ZERO, ONE = (torch.full((1, 3, 4, 4), value) for value in (0.0, 0.0, 1.0))


def test_losses_are_cross_entropies():
    judge = _Judge()
    softplus = math.log1p(math.exp(-2))
    loss = discriminator_loss(judge, SOURCE, fake=ZERO, real=ONE).item()
    assert loss == pytest.approx(0.5 * (softplus + math.log(2)))
    assert generator_loss(judge, SOURCE, ONE).item() == pytest.approx(softplus)


def test_each_loss_trains_its_own_side_only():
    judge, fake = _Judge(), ZERO.clone().requires_grad_()
    discriminator_loss(judge, SOURCE, fake, ONE).backward()
    assert fake.grad is None
    assert judge.weight.grad is not None
    judge.weight.grad = None
    generator_loss(judge, SOURCE, fake).backward()
    assert fake.grad is not None
    assert judge.weight.grad is None
    assert judge.weight.requires_grad
