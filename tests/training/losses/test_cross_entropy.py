import math

import pytest
import torch

from decig.training.losses.cross_entropy import discriminator_loss, generator_loss

# Two scales: of two logits, and of one.
FAKE = [torch.tensor([-2.0, 0.5]), torch.tensor([3.0])]
REAL = [torch.tensor([2.0, -1.0]), torch.tensor([0.25])]


def taken_for(real: bool, *logits: float) -> float:
    """Mean cross-entropy of logits that should say real, or fake."""
    return sum(math.log1p(math.exp(-x if real else x)) for x in logits) / len(logits)


def test_losses_are_cross_entropies() -> None:
    first = taken_for(False, -2.0, 0.5) + taken_for(True, 2.0, -1.0)
    second = taken_for(False, 3.0) + taken_for(True, 0.25)
    assert discriminator_loss(FAKE, REAL).item() == pytest.approx((first + second) / 4)
    wanted = (taken_for(True, -2.0, 0.5) + taken_for(True, 3.0)) / 2
    assert generator_loss(FAKE).item() == pytest.approx(wanted)


def test_great_logits_stay_finite() -> None:
    far = [torch.tensor([200.0, -200.0])]
    assert discriminator_loss(far, far).item() == pytest.approx(100.0)
    assert generator_loss(far).item() == pytest.approx(100.0)
