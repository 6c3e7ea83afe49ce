"""Pairs of pictures for tests of losses, and what every loss must hold to."""

from collections.abc import Callable

import torch

SIZES = [(1, 3, 24, 24), (2, 3, 33, 17), (1, 1, 5, 7), (2, 4, 2, 2)]
"""Shapes of pictures: one and two of them, even and odd sides, and the least."""


def pair(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Two different pictures in 0..1, the same every time."""
    draw = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=draw), torch.rand(shape, generator=draw)


def require_sound(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    """See that a loss of N,C,H,W drives the first side, and that its gradient is always finite.

    It must be zero for equal sides, whatever these show, and no less exact under autocast.
    """
    picture, target = pair((2, 3, 24, 24))
    picture.requires_grad_()
    target.requires_grad_()
    value = loss(picture, target)
    value.backward()
    assert picture.grad is not None and picture.grad.isfinite().all()
    assert float(picture.grad.abs().sum()) > 0
    with torch.autocast("cpu", torch.bfloat16):
        below = loss(picture.detach(), target.detach())
    assert below.dtype == torch.float32
    torch.testing.assert_close(below, value.detach(), rtol=1e-4, atol=1e-6)
    for same in (pair((2, 3, 24, 24))[0], torch.zeros(1, 3, 24, 24), torch.ones(1, 3, 24, 24)):
        again = same.clone().requires_grad_()
        value = loss(again, same)
        value.backward()
        assert value.item() == 0
        assert again.grad is not None and again.grad.isfinite().all()
