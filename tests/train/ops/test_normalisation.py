"""Normalisations beside the table of `op_cases`: training, and the order of memory."""

import itertools

import numpy as np
import pytest
import torch

from decig.train.module import build_module
from decig.train.ops.normalisation import batch_norm, instance_norm
from tests.train.onnx_cases import one_node, run_ort
from tests.train.op_case import x

ZERO, ONE = torch.zeros(4).double(), torch.ones(4).double()


def test_gradients_through_the_statistics_of_the_batch() -> None:
    def norm(x: "torch.Tensor") -> "torch.Tensor":
        scale, bias = x[0, :, 0, 0], x[1, :, 0, 0]
        return batch_norm(x, ZERO.clone(), ONE.clone(), scale, bias, True, 0.9, 1e-5)

    torch.manual_seed(0)
    image = torch.randn(2, 4, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, image)


def test_training_is_onnx_runtimes_training_mode() -> None:
    image, affine = x(3, 4, 5, 6), {1: x(4), 2: x(4), 3: x(4), 4: np.abs(x(4)) + 0.5}
    options = {"constants": affine, "momentum": 0.7, "epsilon": 1e-3, "opset": 15}
    module = build_module(one_node("BatchNormalization", image, **options)).train()
    found = module(torch.from_numpy(image))[0].detach().numpy()
    mean, variance = image.mean((0, 2, 3)), image.var((0, 2, 3))
    shaped = [a.reshape(1, 4, 1, 1) for a in (mean, variance, affine[1], affine[2])]
    wanted = (image - shaped[0]) / np.sqrt(shaped[1] + 1e-3) * shaped[2] + shaped[3]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    buffers = dict(module.named_buffers())
    np.testing.assert_allclose(buffers["in3"], 0.7 * affine[3] + 0.3 * mean, atol=1e-6)
    np.testing.assert_allclose(buffers["in4"], 0.7 * affine[4] + 0.3 * variance, atol=1e-6)


def test_using_it_leaves_the_statistics_alone() -> None:
    image, affine = x(3, 4, 5, 6), {1: x(4), 2: x(4), 3: x(4), 4: np.abs(x(4)) + 0.5}
    proto = one_node("BatchNormalization", image, constants=affine, opset=15)
    module = build_module(proto).eval()
    found = module(torch.from_numpy(image))[0].detach().numpy()
    np.testing.assert_allclose(found, run_ort(proto, image)[0], atol=1e-5)
    assert torch.equal(dict(module.named_buffers())["in3"], torch.from_numpy(affine[3]))


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
