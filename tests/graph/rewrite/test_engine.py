"""Rules together: order, selection, real nets."""

import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from decig.errors import BadInputError
from decig.graph import rewrite
from decig.graph.model import load_model
from decig.graph.rewrite import ANY_SIZE, CANONICAL, DEVICE, NEED_FLOAT32, RULES, Rule, apply
from tests.graph.rewrite.small import Net, operators, rewritten, run


def test_every_rule_is_canonical_or_for_the_device() -> None:
    assert tuple(RULES) == CANONICAL + DEVICE


def test_every_file_with_a_rule_is_in_the_order() -> None:
    names = [module.name for module in pkgutil.iter_modules(rewrite.__path__)]
    modules = [importlib.import_module(f"{rewrite.__name__}.{name}") for name in names]
    rules = [
        getattr(module, name)
        for module, name in zip(modules, names, strict=True)
        if isinstance(getattr(module, name, None), Rule)
    ]
    assert sorted(rule.name for rule in rules) == sorted(RULES)


def test_properties_are_those_of_the_rules() -> None:
    assert set(NEED_FLOAT32) == {"coarse_head", "winograd"}
    assert set(CANONICAL) - set(ANY_SIZE) == {"drop_neutral", "join_upsample", "pad_into_conv"}


def test_an_unknown_rule_is_named() -> None:
    net = Net(1, 3, 4, 4)
    with pytest.raises(BadInputError, match="rewrite rule 'faster'"):
        apply(net.finish(net.node("Relu", "x")), ["wide_head", "faster"])


def test_the_order_of_the_names_does_not_matter() -> None:
    net = Net(1, 3, 4, 4)
    proto = net.finish(net.node("Conv", "x", net.weights(3, 3, 3, 3), pads=[1] * 4))
    forwards, _ = apply(proto, ["wide_head", "depth_to_space"])
    backwards, _ = apply(proto, ["depth_to_space", "wide_head"])
    assert operators(forwards) == operators(backwards)
    assert "DepthToSpace" not in operators(forwards)


def test_nothing_to_do() -> None:
    net = Net(1, 3, 4, 4)
    after, applied = rewritten(net.finish(net.node("Relu", "x")))
    assert not applied
    assert operators(after) == ["Relu"]


def test_what_a_subgraph_reads_stays() -> None:
    net = Net(1, 3, 4, 4)
    conv = net.node("Conv", "x", net.weights(4, 3, 1, 1))
    statistics = [net.weights(4) for _ in range(3)]
    norm = net.node("BatchNormalization", conv, *statistics, net.constant(np.ones(4)))
    branches = {
        name: helper.make_graph(
            [helper.make_node("Identity", [value], [name], name=name)],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 4, 4])],
        )
        for name, value in (("then", conv), ("else", norm))
    }
    chosen = net.node(
        "If",
        net.node("Greater", net.node("ReduceMax", "x", keepdims=0), net.constant(9.0)),
        then_branch=branches["then"],
        else_branch=branches["else"],
    )
    after, applied = rewritten(net.finish(chosen))
    assert not applied
    assert "BatchNormalization" in operators(after)


def test_names_that_are_taken_stay() -> None:
    net = Net(1, 3, 4, 4)
    conv = net.node("Conv", "x", net.weights(4, 3, 1, 1), name="conv")
    value = net.node("Add", conv, net.weights(4, 1, 1))
    proto = net.finish(net.node("Add", net.node("Relu", value), net.weights(4, 4)))
    taken = proto.graph.node[-1].input[1]
    next(t for t in proto.graph.initializer if t.name == taken).name = "conv/b"
    proto.graph.node[-1].input[1] = "conv/b"
    after, _ = rewritten(proto, "affine_into_layer")
    assert operators(after) == ["Conv", "Relu", "Add"]
    assert {"conv/b", "conv/b_"} <= {tensor.name for tensor in after.graph.initializer}


def test_twice_is_once() -> None:
    net = Net(1, 3, 8, 8)
    value = net.node("Conv", "x", net.weights(3, 3, 5, 5), pads=[2] * 4)
    once, _ = apply(net.finish(value))
    _, applied = apply(once)
    assert not applied


@pytest.mark.parametrize(
    "name",
    ["udnie", "fns_candy_nc16", "winml_candy_op17_256", "sed_unet", "espcn_x3", "mobil_highstyle"],
)
def test_all_rules_on_real_nets(shared_suite: Path, name: str) -> None:
    rewritten(load_model(shared_suite / f"{name}.onnx").proto)


@pytest.mark.parametrize("name", ["udnie", "wave"])
def test_all_rules_on_photos(shared_suite: Path, shared_data: Path, name: str) -> None:
    proto = load_model(shared_suite / f"{name}.onnx").proto
    after, _ = apply(proto)
    for path in sorted((shared_data / "photos" / "val").iterdir())[:3]:
        photo = np.asarray(Image.open(path).convert("RGB").resize((256, 256)), np.float32)
        image = np.ascontiguousarray(photo.transpose(2, 0, 1)[None])
        (expected,), (actual,) = run(proto, image), run(after, image)
        # The head sums large and small numbers too, and nothing averages over its rounding.
        assert np.abs(actual - expected).max() <= 3e-5 * np.ptp(expected)
