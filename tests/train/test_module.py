"""The graph as a module: names, gradients, training mode, sizes that follow the input."""

import copy
import itertools

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from onnx_cases import assert_close, assert_parity, parsed, run_ort  # noqa: E402

from decig.data.images import ImageFolder  # noqa: E402
from decig.errors import BadInputError  # noqa: E402
from decig.graph.model import initializers, input_info, load_model, replace_initializers  # noqa: E402
from decig.train.module import build_module, parameter_names, write_back  # noqa: E402

RNG = np.random.default_rng(0)


def r(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def i(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def small(height: int = 16, width: int = 16) -> onnx.ModelProto:
    """An hourglass with uneven pads, a residual, a transposed convolution cut by a Slice."""
    weights = {
        "c1.w": r(6, 3, 5, 5) / 9,
        "n1.w": r(6),
        "n1.b": r(6),
        "c2.w": r(8, 6, 3, 3) / 7,
        "c2.b": r(8),
        "c3.w": r(8, 8, 3, 3) / 9,
        "t.w": r(8, 6, 3, 3) / 9,
        "scale": r(6, 1, 1),
        "ends": i(height, width),
        "zero": i(0, 0),
        "axes": i(2, 3),
        "half": np.float32(0.5),
    }
    names = {name: name.replace(".", "_") for name in weights}
    proto = parsed(
        """
        a = Conv <pads = [2, 2, 2, 2]> (x, c1_w)
        b = InstanceNormalization <epsilon = 0.001> (a, n1_w, n1_b)
        c = Relu(b)
        d = Conv <pads = [0, 0, 1, 1], strides = [2, 2]> (c, c2_w, c2_b)
        e = Conv <pads = [1, 1, 1, 1]> (d, c3_w)
        f = Add(d, e)
        g = ConvTranspose <strides = [2, 2]> (f, t_w)
        h = Slice(g, zero, ends, axes)
        k = Mul(h, scale)
        l = Tanh(k)
        y = Mul(l, half)
        """,
        (1, 3, height, width),
        **{names[name]: value for name, value in weights.items()},
    )
    # ONNX text has no dots in names; real graphs do.
    for name in weights:
        for tensor in proto.graph.initializer:
            tensor.name = name if tensor.name == names[name] else tensor.name
        for node in proto.graph.node:
            for slot, used in enumerate(node.input):
                node.input[slot] = name if used == names[name] else used
    return proto


def twin(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """`small`, written by hand."""
    c = F.relu(
        F.instance_norm(
            F.conv2d(x, p["c1.w"], padding=2), weight=p["n1.w"], bias=p["n1.b"], eps=1e-3
        )
    )
    d = F.conv2d(F.pad(c, (0, 1, 0, 1)), p["c2.w"], p["c2.b"], stride=2)
    f = d + F.conv2d(d, p["c3.w"], padding=1)
    h = F.conv_transpose2d(f, p["t.w"], stride=2)[:, :, :-1, :-1]
    return torch.tanh(h * p["scale"]) * 0.5


def by_initializer(module: torch.fx.GraphModule) -> dict[str, torch.Tensor]:
    names = parameter_names(module)
    return {names[name]: parameter for name, parameter in module.named_parameters()}


def test_gradients_equal_those_of_the_hand_written_network():
    module = build_module(small())
    parameters = by_initializer(module)
    x = torch.from_numpy(r(4, 3, 24, 20))
    target = torch.from_numpy(r(4, 6, 24, 20))
    gradients = []
    for output in (module(x)[0], twin(parameters, x)):
        loss = (output - target).square().mean()
        gradients.append(torch.autograd.grad(loss, list(parameters.values())))
    for name, ours, theirs in zip(parameters, *gradients, strict=True):
        assert_close(ours.numpy(), theirs.numpy(), 1e-5), name
    assert list(parameters) == ["c1.w", "n1.w", "n1.b", "c2.w", "c2.b", "c3.w", "t.w", "scale"]


def test_one_call_a_node_and_no_interpreter():
    module = build_module(small())
    calls = [node for node in module.graph.nodes if node.op == "call_function"]
    assert len(calls) == 11 + 1  # one more to pad the uneven convolution
    assert "relu" in module.code
    assert "l * 0.5" in module.code
    module.graph.lint()


def test_parameters_carry_the_names_of_their_initializers():
    proto = parsed(
        "a = Conv(x, w) b = Conv(a, w_) c = Conv(b, training) y = Conv(c, class)",
        (1, 3, 8, 8),
        w=r(3, 3, 1, 1),
        w_=r(3, 3, 1, 1),
        training=r(3, 3, 1, 1),
        **{"class": r(3, 3, 1, 1)},
    )
    for old, new in (("w", "1"), ("w_", "a.b/c"), ("training", "a_b.c")):
        _rename(proto, old, new)
    module = build_module(proto)
    names = parameter_names(module)
    assert sorted(names.values()) == ["1", "a.b/c", "a_b.c", "class"]
    assert all(name.isidentifier() for name in names)
    assert names["a_b_c"] == "a.b/c"
    assert set(names) == set(module.state_dict())
    assert parameter_names(copy.deepcopy(module)) == names


def _rename(proto: onnx.ModelProto, old: str, new: str) -> None:
    for tensor in proto.graph.initializer:
        tensor.name = new if tensor.name == old else tensor.name
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def test_only_what_can_be_trained_is_a_parameter():
    proto = parsed(
        """
        a = Conv(x, w)
        b = Add(a, noise)
        c = Mul(b, gain)
        d = Sub(c, shift)
        e = PRelu(d, slope)
        f = BatchNormalization(e, bn_w, bn_b, bn_m, bn_v)
        y = Reshape(f, flat)
        """,
        (1, 3, 6, 6),
        w=r(4, 3, 1, 1),
        noise=r(1, 1, 6, 6),
        gain=np.float32([2]),
        shift=r(1, 4, 1, 1),
        slope=r(4, 1, 1),
        bn_w=r(4),
        bn_b=r(4),
        bn_m=r(4),
        bn_v=np.abs(r(4)),
        flat=i(1, -1),
    )
    module = build_module(proto)
    assert set(parameter_names(module).values()) == {"w", "shift", "slope", "bn_w", "bn_b"}
    assert {name for name, _ in module.named_buffers()} == {"noise", "bn_m", "bn_v"}


def test_batch_normalization_trains_as_onnx_defines_it():
    x = r(4, 5, 3, 2)
    weights = {"w": r(5), "b": r(5), "m": r(5), "v": np.abs(r(5)) + 0.5}
    text = "y = BatchNormalization <momentum = 0.8> (x, w, b, m, v)"
    proto = parsed(text, (4, 5, 3, 2), **weights)
    module = build_module(proto).train()
    inputs = torch.from_numpy(x).requires_grad_()
    (y,) = module(inputs)
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    expected = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + 1e-5)
    expected = expected * weights["w"][:, None, None] + weights["b"][:, None, None]
    assert_close(y.detach().numpy(), expected)
    assert_close(module.m.numpy(), 0.8 * weights["m"] + 0.2 * mean)
    assert_close(module.v.numpy(), 0.8 * weights["v"] + 0.2 * var)
    y.square().sum().backward()
    assert inputs.grad is not None
    # Stored statistics in eval mode, and they travel back.
    trained = write_back(module, proto)
    assert_close(module.eval()(torch.from_numpy(x))[0].detach().numpy(), run_ort(trained, x)[0])


def test_write_back_gives_a_graph_that_computes_the_same():
    proto = small()
    before = proto.SerializeToString()
    module = build_module(proto).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    trained = write_back(module, proto)
    x = r(1, 3, 16, 16)
    with torch.no_grad():
        assert_close(module(torch.from_numpy(x))[0].numpy(), run_ort(trained, x)[0])
    assert proto.SerializeToString() == before
    assert initializers(trained).keys() == initializers(proto).keys()
    assert not np.allclose(initializers(trained)["c1.w"], initializers(proto)["c1.w"])


def test_write_back_refuses_another_graph():
    other = parsed("y = Conv(x, w)", (1, 3, 8, 8), w=r(4, 3, 1, 1))
    with pytest.raises(BadInputError, match=r"c1\.w: the module was built from another graph"):
        write_back(build_module(small()), other)


def test_inner_values_are_returned_in_the_order_asked():
    module = build_module(small(), ["f", "y", "c"])
    full = build_module(small())
    f, y, c = module(torch.from_numpy(r(2, 3, 16, 16)))
    assert (f.shape, y.shape, c.shape) == ((2, 8, 8, 8), (2, 6, 16, 16), (2, 6, 16, 16))
    assert (c >= 0).all()
    assert len(list(build_module(small(), ["c"]).parameters())) == 3 < len(list(full.parameters()))
    with pytest.raises(BadInputError, match="value nothing: the graph computes no such value"):
        build_module(small(), ["nothing"])


def test_an_unknown_operator_is_named_with_its_node():
    proto = parsed("a = Relu(x) y = Hardmax(a)", (1, 3, 8, 8))
    with pytest.raises(BadInputError, match=r"node Hardmax_1 \(Hardmax\): .* cannot be trained"):
        build_module(proto)
    build_module(proto, ["a"])


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
    assert module(torch.zeros(2, 3, 16, 16))[0].shape == (2, 3, 16, 16)
    with pytest.raises(BadInputError, match=r"node Conv_1 .* axis 0 must be 2, not 4"):
        module(torch.zeros(4, 3, 8, 8))


def test_input_size_must_suit_the_inputs():
    with pytest.raises(BadInputError, match="input size"):
        build_module(small(), input_size=(8,))


SUITE = [
    "udnie.onnx",
    "wave.onnx",
    "fns_candy_nc16.onnx",
    "winml_candy_op17_256.onnx",
    "mobil_highstyle.onnx",
    "sed_unet.onnx",
    "espcn_x3.onnx",
]
# What an exporter would have baked in for half the size, by the value declared for the full one.
HALVED = {
    "Slice": {128: 64, 256: 128},
    "Reshape": {672: 336, 224: 112, 256: 128, 128: 64},
}


@pytest.fixture(scope="module", params=SUITE)
def real(request, shared_suite):
    """A real generator, and its shape."""
    proto = load_model(shared_suite / request.param).proto
    return proto, input_info(proto)[0].shape


@pytest.fixture(scope="module")
def photos(shared_data):
    folder = ImageFolder(shared_data / "photos" / "val")
    return [image for _, image in itertools.islice(folder, 4)]


def pictures(photos: list[np.ndarray], shape: list[int], size: int) -> np.ndarray:
    """Crops of photos as the suite's models take them: RGB 0..255, or one channel 0..1."""
    crops = np.stack([photo[:size, :size] for photo in photos]).astype(np.float32)
    if shape[1] == 1:
        crops = crops.mean(-1, keepdims=True) / 255
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2))


def test_real_generators_agree_with_onnx_runtime(real, photos):
    proto, shape = real
    x = pictures(photos, shape, shape[2])
    module = build_module(proto).eval()
    with torch.no_grad():
        found = module(torch.from_numpy(x))[0].numpy()
    for sample, ours in zip(x[:2], found, strict=False):
        assert_close(ours[None], run_ort(proto, sample[None])[0], 1e-4)


def test_real_generators_run_on_smaller_crops(real, photos):
    proto, shape = real
    size = shape[2] // 2
    x = pictures(photos[:1], shape, size)
    module = build_module(proto, input_size=(size, size)).eval()
    with torch.no_grad():
        found = module(torch.from_numpy(x))[0].numpy()
    assert_close(found, run_ort(halved(proto), x)[0], 1e-4)


def halved(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The graph as its exporter would have written it for half the height and width."""
    result = copy.deepcopy(proto)
    constants = initializers(proto)
    changed = {}
    for node in result.graph.node:
        swap = HALVED.get(node.op_type, {})
        for name in node.input[1:]:
            array = constants.get(name)
            if swap and array is not None and array.dtype == np.int64:
                keep = 2 if len(array) > 3 else 0  # batch and channels
                changed[name] = np.array(
                    [n if at < keep else swap.get(int(n), n) for at, n in enumerate(array)]
                )
        for attribute in node.attribute:
            if attribute.name == "output_shape":
                attribute.ints[:] = [n // 2 + 1 for n in attribute.ints]
    replace_initializers(result, changed)
    for value in (*result.graph.input, *result.graph.output):
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.dim_value //= 2
    del result.graph.value_info[:]
    return result


def test_real_generators_travel_back(real, photos):
    proto, shape = real
    module = build_module(proto).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 1 + 0.05 * torch.randn_like(parameter)
    x = pictures(photos[:1], shape, shape[2])
    with torch.no_grad():
        found = module(torch.from_numpy(x))[0].numpy()
    assert_close(found, run_ort(write_back(module, proto), x)[0], 1e-4)
