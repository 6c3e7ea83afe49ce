import pytest
import torch

from decig.train.losses.least_squares import discriminator_loss, generator_loss


class _Judge(torch.nn.Module):
    """Logit = weight times each value of the judged image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, image):
        return self.weight * image


FAKE, REAL = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 1.0]])


def test_losses_are_those_computed_by_hand():
    # On real: 1 and 2, so ((1 - 1)^2 + (2 - 1)^2) / 2; on fake: 0 and 2, so (0 + 4) / 2.
    assert discriminator_loss(_Judge(), FAKE, REAL).item() == pytest.approx(0.5 * (0.5 + 2.0))
    # ((0 - 1)^2 + (2 - 1)^2) / 2
    assert generator_loss(_Judge(), FAKE).item() == pytest.approx(1.0)


def test_each_loss_trains_its_own_side_only():
    judge, fake = _Judge(), FAKE.clone().requires_grad_()
    discriminator_loss(judge, fake, REAL).backward()
    assert fake.grad is None and judge.weight.grad is not None
    judge.weight.grad = None
    generator_loss(judge, fake).backward()
    # d/df mean (2 f - 1)^2 = 2 (2 f - 1) 2 / 2
    assert fake.grad.tolist() == [[-2.0, 2.0]]
    assert judge.weight.grad is None and judge.weight.requires_grad
