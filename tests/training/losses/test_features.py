import numpy as np
import pytest
import torch

from decig.training.losses.features import feature_loss


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 0.5


def test_the_loss_is_that_of_numpy() -> None:
    student = [drawn(2, 4, 5, 3), drawn(2, 8)]
    teacher = [drawn(2, 4, 5, 3, seed=1), drawn(2, 8, seed=2)]
    pairs = [(s.numpy(), t.numpy()) for s, t in zip(student, teacher, strict=True)]
    wanted = np.mean([np.abs(s - t).sum() / np.abs(t).sum() for s, t in pairs])
    assert float(feature_loss(student, teacher)) == pytest.approx(float(wanted), rel=1e-5)


def test_every_value_counts_the_same_whatever_its_size() -> None:
    one, other = torch.full((1, 2, 2), 10.0), torch.full((1, 3, 8), 0.1)
    assert float(feature_loss([one * 1.1, other * 1.3], [one, other])) == pytest.approx(0.2)


def test_equal_values_cost_nothing_and_their_gradient_is_finite() -> None:
    value = drawn(1, 4, 6, 6).requires_grad_()
    loss = feature_loss([value], [value.detach()])
    loss.backward()
    assert loss.item() == 0 and value.grad is not None and value.grad.isfinite().all()
    dead = torch.zeros(1, 4, requires_grad=True)  # of a teacher whose channels are all zero
    feature_loss([dead], [torch.zeros(1, 4)]).backward()
    assert dead.grad is not None and dead.grad.isfinite().all()
