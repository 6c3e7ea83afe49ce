import pytest
import torch

from decig.training.losses.cycle import cycle_loss, identity_loss


@pytest.mark.parametrize("loss", [cycle_loss, identity_loss])
def test_the_loss_is_the_mean_difference(loss):
    picture = torch.tensor([[0.0, 1.0, -1.0, 0.5]])
    made = torch.tensor([[1.0, 1.0, 1.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    found = loss(made, picture)
    assert found.dtype == torch.float32 and found.item() == pytest.approx((1 + 0 + 2 + 0.5) / 4)
    found.backward()
    assert made.grad.tolist() == [[0.25, 0.0, 0.25, -0.25]]
