"""Normalisations beside the table of `op_cases`: how BatchNormalization trains."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnx_cases import one_node, run_ort  # noqa: E402
from op_case import x  # noqa: E402

from decig.train.module import build_module  # noqa: E402
from decig.train.ops.normalisation import batch_norm  # noqa: E402

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
