import numpy as np
import onnx
import pytest

from decig.data.inputs import seeded_feeds
from decig.deploy import convert as module
from decig.deploy.convert import INT8_OPSET, Quantiser, at_opset, to_fp16
from decig.deploy.verify import relative_difference, runner
from decig.errors import BadInputError
from decig.graph.cost import count
from decig.graph.model import initializers, input_info, normalise, output_info
from tests.graph.rewrite.small import Net
from tests.graph.shared_nets import recursive
from tests.samples import generator
from tests.threads import FREE, watch_threads


@pytest.fixture
def proto():
    return normalise(generator())


def feeds(proto):
    return seeded_feeds(proto, None)[:2]


def to_int8(proto, in_float32=(), **settings):
    return Quantiser(proto, feeds(proto), **settings)(in_float32)


def test_half_precision_but_for_the_norms(proto):
    half = to_fp16(proto)
    onnx.checker.check_model(half, full_check=True)
    assert input_info(half)[0].dtype == output_info(half)[0].dtype == np.float32
    weights = initializers(half)
    assert weights["conv1.weight"].dtype == np.float16
    assert weights["norm1.weight"].dtype == weights["norm2.weight"].dtype == np.float32
    assert 0 < relative_difference(runner(proto), runner(half), feeds(proto)) < 0.02


def test_eight_bits(proto):
    proto.metadata_props.add(key="author", value="someone")
    before = proto.SerializeToString()
    eight = to_int8(proto)
    assert proto.SerializeToString() == before
    onnx.checker.check_model(eight, full_check=True)
    assert count(eight).params == count(proto).params
    assert count(eight).macs == count(proto).macs
    weights = initializers(eight)
    assert weights["conv2.weight_quantized"].dtype == np.int8
    assert weights["conv2.weight_scale"].shape == (8,)
    assert [(prop.key, prop.value) for prop in eight.metadata_props] == [("author", "someone")]
    assert 0 < relative_difference(runner(proto), runner(eight), feeds(proto)) < 0.2


def test_calibration_runs_on_the_threads_that_are_free(proto, monkeypatch):
    plain = to_int8(proto)
    opened = watch_threads(monkeypatch)
    assert to_int8(proto) == plain
    assert opened == [FREE]


def test_layers_that_stay_in_float32(proto):
    eight = to_int8(proto, ["conv1", "head"])
    assert {"conv1.weight", "head.weight", "conv2.weight_quantized"} <= set(initializers(eight))


def test_symmetric_activations(proto):
    eight = to_int8(proto, symmetric=True)
    points = [value for name, value in initializers(eight).items() if name.endswith("zero_point")]
    assert points
    assert all(not value.any() for value in points)


def test_calibration_inputs_are_taken_one_by_one(proto):
    taken = []

    def stream():
        for each in feeds(proto):
            taken.append(True)
            yield each

    quantiser = Quantiser(proto, stream())
    assert quantiser.layers == ["conv1", "conv2", "head"]
    quantiser()
    quantiser(["conv1"])
    assert len(taken) == 2


def test_variants_do_not_depend_on_each_other(proto):
    quantiser = Quantiser(proto, feeds(proto))
    first = quantiser().SerializeToString(deterministic=True)
    quantiser(["conv2"])
    assert quantiser().SerializeToString(deterministic=True) == first


@pytest.mark.parametrize("opset", [9, 11])
def test_old_operator_sets_are_lifted(opset):
    net = Net(1, 3, 8, 8, opset=opset)
    value = net.node("Relu", net.node("Conv", "x", net.weights(8, 3, 3, 3), name="a"))
    proto = net.finish(net.node("Conv", value, net.weights(3, 8, 1, 1), name="b"))
    eight = to_int8(proto, ["b"])
    assert eight.opset_import[0].version == INT8_OPSET
    assert 0 < relative_difference(runner(proto), runner(eight), feeds(proto)) < 0.05


def test_what_cannot_be_converted(proto):
    with pytest.raises(BadInputError, match="opset 2: the graph cannot be converted"):
        at_opset(proto, 2)


def test_nothing_to_quantise():
    net = Net(1, 3, 8, 8)
    proto = net.finish(net.node("Relu", "x"))
    with pytest.raises(BadInputError, match="no convolution or matrix product"):
        to_int8(proto)


def test_what_the_quantiser_raises_is_one_line(proto, monkeypatch):
    def fail(*_, **__):
        raise KeyError("a tensor\nand more")

    monkeypatch.setattr(module, "create_calibrator", fail)
    with pytest.raises(
        BadInputError, match=r"^int8: ONNX Runtime cannot convert the graph: 'a ten"
    ):
        to_int8(proto)


def joined(norm: bool):
    """Two convolutions, their Concat, perhaps a norm, and a third convolution."""
    net = Net(1, 3, 8, 8)
    parts = [net.node("Conv", "x", net.weights(4, 3, 1, 1), name=name) for name in "ab"]
    value = net.node("Concat", *parts, name="join", axis=1)
    if norm:
        value = net.node("InstanceNormalization", value, net.weights(8), net.weights(8))
    return net.finish(net.node("Conv", value, net.weights(3, 8, 1, 1), name="c"))


@pytest.mark.parametrize(
    ("norm", "exclude", "inside"),
    [(False, [], True), (False, ["a"], False), (False, ["c"], False), (True, [], False)],
)
def test_what_lies_between_int8_layers_alone_is_int8(norm, exclude, inside):
    proto = joined(norm)
    eight = to_int8(proto, exclude)
    quantised = {node.input[0] for node in eight.graph.node if node.op_type == "QuantizeLinear"}
    assert ("join" in quantised) == (inside or (not norm and exclude == ["a"]))
    makers = {name: node.op_type for node in eight.graph.node for name in node.output}
    concat = next(node for node in eight.graph.node if node.op_type == "Concat")
    assert {makers[name] for name in concat.input} <= {"DequantizeLinear", "Conv"}


def test_shared_weights_stay_shared_in_every_precision():
    proto = normalise(recursive(4))
    for made, most in ((to_fp16(proto), 1), (to_int8(proto), 1)):
        large = [t.name for t in made.graph.initializer if list(t.dims) == [8, 8, 3, 3]]
        assert len(large) == most, large
        assert relative_difference(runner(proto), runner(made), feeds(proto)) < 0.3
