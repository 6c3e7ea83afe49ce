"""Modules at batches and picture sizes that the graph was not declared for."""

import numpy as np
import onnx
import pytest
import torch

from decig.errors import BadInputError
from decig.graph.model import input_info, normalise
from decig.training.trainable.module import build_module, takes_batches
from tests.training.onnx_cases import assert_close, assert_parity, parsed, run_ort

RNG = np.random.default_rng(0)


def r(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def i(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


# Graphs written for a size; each must run at any other as if it had been written for that.
FOLLOW = {
    "pixel shuffle spelled out": lambda n, h, w: parsed(
        "a = Reshape(x, s) b = Transpose <perm = [0, 1, 4, 2, 5, 3]> (a) y = Reshape(b, t)",
        (n, 8, h, w), s=i(n, 2, 2, 2, h, w), t=i(n, 2, 2 * h, 2 * w)),
    "pixel unshuffle spelled out": lambda n, h, w: parsed(
        "a = Reshape(x, s) b = Transpose <perm = [0, 1, 3, 5, 2, 4]> (a) y = Reshape(b, t)",
        (n, 2, h, w), s=i(n, 2, h // 2, 2, w // 2, 2), t=i(n, 8, h // 2, w // 2)),
    "nearest upsampling spelled out": lambda n, h, w: parsed(
        """a = Reshape(x, s) b = Concat <axis = 1> (a, a) c = Reshape(b, t)
        d = Concat <axis = 1> (c, c) y = Reshape(d, u)""",
        (n, 8, h, w), s=i(-1, 1), t=i(-1, 2 * w), u=i(-1, 8, 2 * h, 2 * w)),
    "as many channels as columns": lambda n, h, w: parsed(
        "a = Reshape(x, s) b = Softmax(a) y = Reshape(b, t)",
        (n, 8, h, w), s=i(n, 8, h * w), t=i(n, 8, h, w)),
    "group normalisation spelled out": lambda n, h, w: parsed(
        "a = Reshape(x, s) b = InstanceNormalization(a, k, l) c = Reshape(b, t) y = Mul(c, m)",
        (n, 8, h, w), s=i(0, 2, -1), t=i(n, 8, h, w), k=np.ones(2, np.float32), l=r(2) * 0,
        m=np.arange(8, dtype=np.float32).reshape(8, 1, 1)),
    "attention over pixels": lambda n, h, w: parsed(
        """q = Reshape(x, s) k = Transpose <perm = [0, 1, 3, 2]> (q) a = MatMul(k, q)
        b = Softmax(a) c = MatMul(q, b) y = Reshape(c, t)""",
        (n, 8, h, w), s=i(n, 2, 4, h * w), t=i(n, 8, h, w)),
    "windows of 2": lambda n, h, w: parsed(
        """a = Reshape(x, s) b = Transpose <perm = [0, 2, 4, 3, 5, 1]> (a) c = Reshape(b, t)
        d = Softmax <axis = 1> (c) e = Reshape(d, u)
        f = Transpose <perm = [0, 5, 1, 3, 2, 4]> (e) y = Reshape(f, v)""",
        (n, 3, h, w), s=i(n, 3, h // 2, 2, w // 2, 2), t=i(-1, 4, 3),
        u=i(n, h // 2, w // 2, 2, 2, 3), v=i(n, 3, h, w)),
    "slices counted from either end": lambda n, h, w: parsed(
        "a = Slice(x, s, e, axes) b = Slice(x, s1, e1, axes) y = Concat <axis = 1> (a, b)",
        (n, 2, h, w), s=i(1, 0), e=i(h, w - 1), s1=i(0, 1), e1=i(h - 1, w), axes=i(2, 3)),
    "resize to sizes": lambda n, h, w: parsed(
        "a = Resize <mode = \"linear\"> (x, , , s) y = Resize(a, , , t)",
        (n, 2, h, w), s=i(n, 2, 2 * h, h * 3 // 2 if h == w else w * 3 // 2),
        t=i(n, 2, h // 2, w // 2)),
    "transposed convolution to a shape": lambda n, h, w: parsed(
        f"y = ConvTranspose <strides = [2, 2], output_shape = [{2 * h}, {2 * w}]> (x, k)",
        (n, 2, h, w), k=np.ones((2, 3, 3, 3), np.float32)),
    "auto_pad with a stride": lambda n, h, w: parsed(
        'y = Conv <strides = [2, 2], auto_pad = "SAME_UPPER"> (x, k)',
        (n, 2, h, w), k=np.ones((3, 2, 3, 3), np.float32)),
    "channels last": lambda n, h, w: parsed(
        """a = Transpose <perm = [0, 3, 1, 2]> (x) b = Conv(a, k)
        c = Transpose <perm = [0, 2, 3, 1]> (b) y = Reshape(c, t)""",
        (n, h, w, 3), k=np.ones((4, 3, 1, 1), np.float32), t=i(n, h * w, 4)),
    "flatten after pooling": lambda n, h, w: parsed(
        "a = GlobalAveragePool(x) b = Flatten(a) y = Gemm(b, k)",
        (n, 3, h, w), k=np.ones((3, 4), np.float32)),
    "split, squeeze and expand": lambda n, h, w: parsed(
        """a, b = Split <axis = 1, num_outputs = 2> (x) m = ReduceMean <keepdims = 1> (a, ax)
        c = Squeeze(m, ax) d = Unsqueeze(c, ax) e = Add(b, d) y = Expand(e, s)""",
        (n, 4, h, w), ax=i(2, 3), s=i(n, 2, h, w)),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLLOW)
@pytest.mark.parametrize("declared", [(1, 8, 8), (1, 12, 8), (3, 8, 12)])
@pytest.mark.parametrize("actual", [(2, 16, 24), (1, 24, 16), (4, 8, 8)])
def test_sizes_follow_the_input(name, declared, actual):
    written_for_actual = FOLLOW[name](*actual)
    x = r(*input_info(written_for_actual)[0].shape)
    module = build_module(FOLLOW[name](*declared)).eval()
    assert "require_size" not in module.code
    with torch.no_grad():
        found = module(torch.from_numpy(x))[0].numpy()
    assert_close(found, run_ort(written_for_actual, x)[0])


def test_several_inputs_follow_together():
    def adain(n: int, h: int, w: int) -> onnx.ModelProto:
        return parsed(
            """
            a = InstanceNormalization(x, one, zero)
            b = Gemm <transB = 1> (x1, k)
            c = Reshape(b, s)
            d = Mul(a, c)
            y = Concat <axis = 1> (d, x2)
            """,
            (n, 4, h, w), (n, 6), (n, 1, h, w),
            one=np.ones(4, np.float32), zero=r(4) * 0, k=np.ones((4, 6), np.float32),
            s=i(n, 4, 1, 1),
        )  # fmt: skip

    inputs = r(3, 4, 16, 24), r(3, 6), r(3, 1, 16, 24)
    module = build_module(adain(1, 8, 8)).eval()
    with torch.no_grad():
        found = module(*map(torch.from_numpy, inputs))[0].numpy()
    assert_close(found, run_ort(adain(3, 16, 24), *inputs)[0])


def test_a_constant_map_serves_every_sample_of_a_batch():
    proto = parsed("y = Concat <axis = 1> (x, k)", (1, 3, 8, 8), k=r(1, 2, 8, 8))
    x = r(3, 3, 8, 8)
    (found,) = build_module(proto)(torch.from_numpy(x))
    expected = np.concatenate([run_ort(proto, sample[None])[0] for sample in x])
    assert_close(found.detach().numpy(), expected)


BAKED = {
    "Reshape_2": (
        "a = Relu(x) b = Relu(a) c = Reshape(b, s) y = Softmax(c)",
        {"s": i(1, 3, 2, 4, 8)},
    ),
    "Gemm_1": ("a = Flatten(x) y = Gemm(a, k)", {"k": r(3 * 8 * 8, 2)}),
    "Add_0": ("y = Add(x, k)", {"k": r(1, 3, 8, 8)}),
    "Slice_0": ("y = Slice(x, s, e, ax)", {"s": i(0), "e": i(4), "ax": i(2)}),
    "Gather_0": ("y = Gather <axis = 2> (x, k)", {"k": i(0, 2, 4, 6)}),
    "Split_0": ("y, z = Split <axis = 2> (x, s)", {"s": i(3, 5)}),
    "Reshape_0": ("y = Reshape(x, s)", {"s": i(1, 8, 3, 8)}),
}


@pytest.mark.parametrize("node", BAKED)
def test_a_size_that_is_baked_in_is_refused_with_its_node(node):
    body, weights = BAKED[node]
    proto = parsed(body, (1, 3, 8, 8), **weights)
    assert_parity(proto, r(1, 3, 8, 8))
    module = build_module(proto)
    with pytest.raises(BadInputError, match=f"node {node} has the declared input size baked in"):
        module(torch.zeros(1, 3, 16, 16))
    with pytest.raises(BadInputError, match=f"cannot be trained at 16x16: node {node}"):
        build_module(proto, input_size=(16, 16))
    build_module(proto, input_size=(8, 8))
    if node != "Reshape_0":
        assert module(torch.zeros(3, 3, 8, 8))[0].shape[0] == 3


def test_a_batch_that_is_baked_in_is_refused():
    # Modulated convolution: the batch becomes groups of one convolution.
    proto = parsed(
        "a = Reshape(x, s) b = Conv <group = 2> (a, k) y = Reshape(b, t)",
        (2, 3, 8, 8), s=i(1, 6, 8, 8), k=r(6, 3, 1, 1), t=i(2, 3, 8, 8),
    )  # fmt: skip
    assert_parity(proto, r(2, 3, 8, 8))
    module = build_module(proto)
    assert not takes_batches(module)
    assert takes_batches(build_module(parsed("y = Relu(x)", (1, 3, 8, 8))))
    assert module(torch.zeros(2, 3, 16, 16))[0].shape == (2, 3, 16, 16)
    with pytest.raises(BadInputError, match=r"node Conv_1 .* axis 0 must be 2, not 4"):
        module(torch.zeros(4, 3, 8, 8))


@pytest.mark.parametrize("made", [1, 2, 5])
def test_weights_that_a_style_computes_bind_the_module_to_one_image(made):
    """A style of two images scales the weights of two channels: it fits, and means nothing."""
    proto = parsed(
        "a = Gemm(x1, g) b = Reshape(a, s) c = Mul(k, b) y = Conv(x, c)",
        (1, 3, 8, 8), (1, 4),
        g=r(4, 3), s=i(1, 3, 1, 1), k=r(made, 3, 1, 1),
    )  # fmt: skip
    inputs = r(1, 3, 8, 8), r(1, 4)
    assert_parity(proto, *inputs)
    module = build_module(proto)
    assert not takes_batches(module)
    with pytest.raises(BadInputError, match="has the declared input size baked in: axis 0"):
        module(torch.zeros(2, 3, 8, 8), torch.zeros(2, 4))


def test_a_code_of_four_axes_does_not_grow_with_the_picture():
    """The declared size is that of the largest input; a code 1,C,1,1 has none."""
    graph = onnx.parser.parse_graph(
        "g (float[1,3,8,8] x, float[1,3,1,1] code, float[1,1,8,8] map) => (float[1,3,8,8] y) "
        "{ a = Add(x, code) y = Mul(a, map) }"
    )
    proto = normalise(onnx.helper.make_model(graph))
    module = build_module(proto, input_size=(4, 6))
    inputs = torch.rand(2, 3, 4, 6), torch.rand(2, 3, 1, 1), torch.rand(2, 1, 4, 6)
    assert torch.equal(module(*inputs)[0], (inputs[0] + inputs[1]) * inputs[2])


def test_input_size_must_suit_the_inputs():
    with pytest.raises(BadInputError, match="input size"):
        build_module(parsed("y = Relu(x)", (1, 3, 8, 8)), input_size=(8,))
