import pytest
import torch

from decig.training.losses.feature_matching import feature_matching_loss
from tests.training.losses.pictures import require_sound


def _layers(*values):
    return [torch.tensor(value, requires_grad=True) for value in values]


def test_the_loss_is_that_computed_by_hand():
    # Scale 1: layers differ by (1 + 3) / 2 and 1; scale 2: by 0.5.
    fake = [_layers([1.0, 2.0], [0.0]), _layers([4.0])]
    real = [_layers([0.0, 5.0], [1.0]), _layers([4.5])]
    assert feature_matching_loss(fake, real).item() == pytest.approx((2.0 + 1.0 + 0.5) / 2)


def test_real_pictures_receive_no_gradient():
    fake, real = [_layers([1.0, 2.0])], [_layers([0.0, 5.0])]
    feature_matching_loss(fake, real).backward()
    assert fake[0][0].grad.tolist() == [0.5, -0.5]
    assert real[0][0].grad is None


def test_it_is_sound():
    require_sound(lambda picture, target: feature_matching_loss([[picture]], [[target]]))
