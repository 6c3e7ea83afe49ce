"""The graph as a module: names, gradients, training mode, inner values, the way back."""

import copy

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F

from decig.errors import BadInputError
from decig.graph.model import initializers, normalise
from decig.training.trainable.module import build_module, parameter_names, write_back
from tests.graph.shared_nets import recursive, siamese
from tests.training.onnx_cases import assert_close, parsed, run_ort

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


def test_fixed_statistics_serve_in_training_too():
    x = r(4, 5, 3, 2)
    weights = {"w": r(5), "b": r(5), "m": r(5), "v": np.abs(r(5)) + 0.5}
    proto = parsed("y = BatchNormalization(x, w, b, m, v)", (4, 5, 3, 2), **weights)
    module = build_module(proto, fixed_statistics=True).train()
    (y,) = module(torch.from_numpy(x))
    assert_close(y.detach().numpy(), run_ort(proto, x)[0])
    assert_close(module.m.numpy(), weights["m"])
    assert_close(module.v.numpy(), weights["v"])
    y.square().sum().backward()
    assert module.w.grad.abs().min() > 0 and module.b.grad.abs().min() > 0


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


def test_a_shared_weight_is_one_parameter_with_the_gradients_of_all_its_uses() -> None:
    body = "a = Conv(x, w) b = Relu(a) c = Conv(b, w) d = Mul(c, w) y = Gather <axis = 1> (d, i)"
    proto = parsed(body, (1, 3, 1, 1), w=r(3, 3, 1, 1), i=i(2, 0))
    names = {tensor.name for tensor in proto.graph.initializer}
    for node in proto.graph.node:  # as the file had it, before the normal form parted them
        node.input[:] = ["w" if n in names and n.startswith("w") else n for n in node.input]
    del proto.graph.initializer[:]
    weight = r(3, 3, 1, 1)
    proto.graph.initializer.extend(
        [onnx.numpy_helper.from_array(weight, "w"), onnx.numpy_helper.from_array(i(2, 0), "i")]
    )
    module = build_module(proto)
    ((name, parameter),) = module.named_parameters()
    assert parameter_names(module) == {name: "w"}
    x = torch.from_numpy(r(1, 3, 1, 1))
    ours = module(x)[0]
    twin = torch.from_numpy(weight.copy()).requires_grad_()
    theirs = (F.conv2d(torch.relu(F.conv2d(x, twin)), twin) * twin)[:, [2, 0]]
    assert_close(ours.detach().numpy(), theirs.detach().numpy())
    ours.sum().backward()
    theirs.sum().backward()
    assert_close(parameter.grad.numpy(), twin.grad.numpy())


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
    proto = parsed("a = Relu(x) y = Det(a)", (1, 3, 8, 8))
    with pytest.raises(BadInputError, match=r"node Det_1 \(Det\): .* cannot be trained"):
        build_module(proto)
    build_module(proto, ["a"])


@pytest.mark.parametrize(
    "step",
    [
        "MeanVarianceNormalization (x)",
        "ReduceMean <axes = [0, 2, 3], keepdims = 1> (x)",
        "ReduceMax <keepdims = 1> (x)",
    ],
)
def test_images_of_a_batch_are_treated_as_each_alone(step: str) -> None:
    proto = parsed(f"m = {step}\n y = Sub(x, m)", (1, 3, 6, 6), opset=13)
    module = build_module(proto).eval()
    images = r(2, 3, 6, 6)
    (found,) = module(torch.from_numpy(images))
    for image, picture in zip(images, found, strict=True):
        (alone,) = run_ort(proto, image[None])
        assert_close(picture[None].numpy(), alone)


def test_a_weight_that_several_nodes_use_is_one_parameter() -> None:
    proto = normalise(recursive(3))
    module = build_module(proto)
    assert sorted(parameter_names(module).values()) == ["w", "wi", "wo"]
    (weight,) = (p for n, p in module.named_parameters() if parameter_names(module)[n] == "w")
    x = torch.from_numpy(r(1, 3, 8, 8))
    module(x)[0].square().mean().backward()
    torch.optim.SGD(module.parameters(), lr=0.01).step()
    trained = write_back(module, proto)
    found = initializers(trained)["w"]
    np.testing.assert_array_equal(found, weight.detach().numpy())
    assert not np.array_equal(found, initializers(proto)["w"])
    with torch.no_grad():
        assert_close(module(x)[0].numpy(), run_ort(trained, x.numpy())[0])


def test_siamese_encoders_are_trained_as_one() -> None:
    proto = normalise(siamese())
    names = list(parameter_names(build_module(proto)).values())
    assert sorted(names) == ["b1", "b2", "scale", "shift", "slope", "w1", "w2", "w3"]
