import pytest
import torch

from decig.training.losses.hinge import discriminator_loss, generator_loss

# Two scales: of two judgements, and of one.
FAKE = [torch.tensor([-2.0, 0.5]), torch.tensor([3.0])]
REAL = [torch.tensor([2.0, -1.0]), torch.tensor([0.25])]


def test_losses_are_those_computed_by_hand():
    # Scale 1: real max(0, -1), max(0, 2): mean 1; fake max(0, -1), max(0, 1.5): mean 0.75.
    # Scale 2: real 0.75; fake 4.
    assert discriminator_loss(FAKE, REAL).item() == pytest.approx((1.75 + 4.75) / 2)
    assert generator_loss(FAKE).item() == pytest.approx(-(-0.75 + 3.0) / 2)


def test_what_is_judged_right_with_a_margin_teaches_nothing():
    fake, real = torch.tensor([-2.0, 0.5], requires_grad=True), torch.tensor([2.0, -1.0])
    discriminator_loss([fake], [real.requires_grad_()]).backward()
    assert fake.grad.tolist() == [0.0, 0.5] and real.grad.tolist() == [0.0, -0.5]
    fake.grad = None
    generator_loss([fake]).backward()
    assert fake.grad.tolist() == [-0.5, -0.5]
