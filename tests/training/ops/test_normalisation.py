"""Normalisations beside the table of `op_cases`: batches of images, the order of memory."""

import itertools

import pytest
import torch

from decig.training.ops.batch_norm import batch_norm
from decig.training.ops.normalisation import instance_norm

NORMS = {
    "batch": lambda x, w: batch_norm(x, torch.zeros(16), torch.ones(16), w, w, True, 0.9, 1e-5),
    "instance": lambda x, w: instance_norm(x, w, w, 1e-5),
    "group": lambda x, w: torch.nn.functional.group_norm(x, 4, w, w),
    "layer": lambda x, w: torch.nn.functional.layer_norm(x, x.shape[1:]),
}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("norm", NORMS)
def test_gradients_of_norms_do_not_depend_on_the_order_of_memory(norm: str, batch: int) -> None:
    torch.manual_seed(0)
    start, slope = torch.randn(2, batch, 16, 8, 8)
    orders = torch.contiguous_format, torch.channels_last
    found = []
    for order, back in itertools.product(orders, orders):
        x = start.clone().to(memory_format=order).requires_grad_()
        weight = torch.linspace(0.5, 2.0, 16).requires_grad_()
        NORMS[norm](x, weight).backward(slope.to(memory_format=back))
        found.append(x.grad)
    for gradient in found[1:]:
        torch.testing.assert_close(gradient, found[0], rtol=1e-4, atol=1e-5)


def test_every_image_of_a_batch_may_have_its_own_scale_and_shift() -> None:
    torch.manual_seed(0)
    images, scales, shifts = torch.randn(3, 4, 5, 6), torch.randn(3, 4), torch.randn(3, 4)
    alone = [
        instance_norm(image[None], scale, shift, 1e-5)
        for image, scale, shift in zip(images, scales, shifts, strict=True)
    ]
    together = instance_norm(images, scales.flatten(), shifts.flatten(), 1e-5)
    torch.testing.assert_close(together, torch.cat(alone))
    mixed = instance_norm(images, scales.flatten(), shifts[0], 1e-5)
    torch.testing.assert_close(mixed[0], alone[0][0])
