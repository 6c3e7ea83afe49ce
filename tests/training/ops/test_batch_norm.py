"""BatchNormalization beside the table of `op_cases`: training, and statistics of the input."""

import numpy as np
import onnx
import pytest
import torch

from decig.training.ops.batch_norm import batch_norm
from decig.training.trainable.module import build_module, takes_batches
from tests.training.onnx_cases import assert_close, one_node, parsed, run_ort
from tests.training.op_case import x

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


def test_a_single_value_per_channel_is_normalised_by_the_stored_statistics_in_training() -> None:
    image, affine = x(1, 4, 1, 1), {1: x(4), 2: x(4), 3: x(4), 4: np.abs(x(4)) + 0.5}
    proto = one_node("BatchNormalization", image, constants=affine, opset=15)
    module = build_module(proto).train()
    found = module(torch.from_numpy(image))[0].detach().numpy()
    assert_close(found, run_ort(proto, image)[0])
    assert torch.equal(dict(module.named_buffers())["in4"], torch.from_numpy(affine[4]))


def adain(batch: int, folded: bool) -> onnx.ModelProto:
    """MUNIT's AdaIN: a batch norm in training mode, scaled by a style; over N * C or C channels."""
    shape = [1, 4 * batch] if folded else [batch, 4]
    return parsed(
        """
        parts = Gemm <transB = 1> (x1, w)
        shift, scale = Split <axis = 1, num_outputs = 2> (parts)
        s = Reshape(scale, flat)
        t = Reshape(shift, flat)
        h = Reshape(x, before)
        n, mean, var = BatchNormalization <training_mode = 1> (h, s, t, zero, one)
        y = Reshape(n, after)
        """,
        *((batch, 4, 5, 6), (batch, 3)),
        w=np.random.default_rng(0).standard_normal((8, 3), dtype=np.float32),
        flat=np.array([-1]),
        before=np.array([*shape, 5, 6]),
        after=np.array([batch, 4, 5, 6]),
        zero=np.zeros(shape[1], np.float32),
        one=np.ones(shape[1], np.float32),
    )


@pytest.mark.parametrize(("declared", "folded"), [(1, False), (1, True), (3, True)])
@pytest.mark.parametrize("training", [False, True])
def test_images_of_a_batch_are_normalised_each_alone(declared, folded, training) -> None:
    module = build_module(adain(declared, folded)).train(training)
    assert takes_batches(module)
    image, style = x(3, 4, 5, 6), x(3, 3)
    with torch.no_grad():
        found = module(torch.from_numpy(image), torch.from_numpy(style))[0].numpy()
    assert_close(found, run_ort(adain(3, True), image, style)[0])
    assert np.abs(found).max() > 0.1


def test_statistics_of_a_declared_batch_are_of_all_its_images() -> None:
    image = x(3, 4, 5, 6)
    options = {"constants": {1: x(4), 2: x(4), 3: x(4), 4: x(4)}, "outputs": 3, "opset": 15}
    proto = one_node("BatchNormalization", image, training_mode=1, **options)
    module = build_module(proto).train()
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    with torch.no_grad():
        found = module(torch.from_numpy(image))
    for ours, wanted in zip(found, run_ort(proto, image), strict=True):
        assert_close(ours.numpy(), wanted)
    assert all(torch.equal(value, buffers[name]) for name, value in module.named_buffers())
