import pytest
import torch

from decig.training.losses.least_squares import discriminator_loss, generator_loss

# Two scales: of two judgements, and of one.
FAKE = [torch.tensor([0.0, 2.0]), torch.tensor([3.0])]
REAL = [torch.tensor([1.0, 2.0]), torch.tensor([0.0])]


def test_losses_are_those_computed_by_hand() -> None:
    # Scale 1: real (0 + 1) / 2, fake (0 + 4) / 2. Scale 2: real 1, fake 9.
    assert discriminator_loss(FAKE, REAL).item() == pytest.approx((2.5 / 2 + 10 / 2) / 2)
    # Scale 1: (1 + 1) / 2. Scale 2: 4.
    assert generator_loss(FAKE).item() == pytest.approx((1 + 4) / 2)


def test_what_passes_for_real_teaches_nothing() -> None:
    fake = torch.tensor([1.0, 3.0], requires_grad=True)
    generator_loss([fake]).backward()
    assert fake.grad is not None and fake.grad.tolist() == [0.0, 2.0]
