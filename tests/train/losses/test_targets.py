import copy

import pytest
import torch

from decig.train.losses.targets import target_loss
from decig.train.nets.patch_gan import PatchDiscriminator


def pictures(count: int) -> list["torch.Tensor"]:
    draw = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, 32, 32, generator=draw) for _ in range(count)]


def test_without_a_discriminator_the_loss_is_l1() -> None:
    picture, target = pictures(2)
    found = target_loss(picture, target, l1=2.0, adversarial=1.0)
    assert found == pytest.approx(2 * float((picture - target).abs().mean()))


def test_the_discriminator_drives_the_picture_and_is_not_changed() -> None:
    picture, target, source = pictures(3)
    torch.manual_seed(0)
    judge = PatchDiscriminator(6, 4)
    before = copy.deepcopy(judge.state_dict())
    terms = {"adversarial": 0.5, "discriminator": judge, "source": source}
    loss = target_loss(picture.requires_grad_(), target, l1=0.0, **terms)
    loss.backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in judge.parameters())
    assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())
    with torch.no_grad():
        doubt = torch.nn.functional.softplus(-judge(source, picture)).mean()
    assert float(loss.detach()) == pytest.approx(0.5 * float(doubt), rel=1e-5)
