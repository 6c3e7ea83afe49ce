import json

import numpy as np
import onnx
import pytest

from decig.device.measure.attribution import Attribution, attribute, kernel_times
from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.graph.model import load_model
from tests.device.graphs import Builder, style_net

SUITE = ["udnie", "wave", "sed_unet", "espcn_x3", "mobil_highstyle", "fns_candy_nc16"]


def attributed(
    proto: onnx.ModelProto, folder, original=None
) -> tuple[Attribution, onnx.ModelProto]:
    """Optimise a graph and attribute it; every optimised node must be charged to some node."""
    Device.of().open(proto, optimised_path=folder / "o.onnx")
    optimised = onnx.load(folder / "o.onnx")
    names = original or [node.name for node in proto.graph.node]
    found = attribute(names, proto, optimised)
    assert found.owner.keys() == {node.name for node in optimised.graph.node}
    assert set(found.owner.values()) <= set(names)
    assert set(found.absorbed.values()) <= set(names)
    assert not set(found.owner.values()) & found.absorbed.keys()
    return found, optimised


def kinds(found: Attribution, optimised: onnx.ModelProto, name: str) -> list[str]:
    return sorted(n.op_type for n in optimised.graph.node if found.owner[n.name] == name)


def test_residual_block_with_norm(tmp_path):
    found, optimised = attributed(style_net(), tmp_path)
    assert kinds(found, optimised, "norm") == ["InstanceNormalization"]
    assert found.absorbed["hidden_node"] == "res.a"
    assert "Conv" in kinds(found, optimised, "head")


def test_blocked_layout_reorders_are_charged_to_the_convolution(tmp_path):
    found, optimised = attributed(style_net(width=32), tmp_path)
    if not any(node.op_type == "ReorderInput" for node in optimised.graph.node):
        pytest.skip("this CPU has no blocked layout")
    assert kinds(found, optimised, "stem") == ["Conv", "ReorderOutput"]
    assert "ReorderInput" in kinds(found, optimised, "res.a")


def test_residual_add_swallowed_in_the_blocked_layout(tmp_path):
    b = Builder(32, 16)
    first = b.conv("x", "first", 32, 32)
    second = b.conv(first, "second", 32, 32)
    added = b.node("Add", [first, second], "added", "add")
    b.conv(b.node("Relu", [added], "r", "relu"), "last", 32, 32, output="y")
    found, _ = attributed(b.build(32), tmp_path)
    assert found.absorbed["relu"] in ("second", "add")
    assert found.absorbed.get("add", "second") == "second"


def test_batch_normalisation_folded_into_its_convolution(tmp_path):
    b = Builder(3, 16)
    normed = b.norm("BatchNormalization", b.conv("x", "conv", 3, 12), "bn", 12)
    b.node("Relu", [normed], "y", "relu")
    found, _ = attributed(b.build(12), tmp_path)
    assert found.absorbed == {"bn": "conv", "relu": "conv"}


def test_pad_belongs_to_the_convolution_behind_it(tmp_path):
    b = Builder(16, 16)
    before = b.node("Relu", ["x"], "before", "relu")
    amounts = b.constant("amounts", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    b.conv(b.node("Pad", [before, amounts], "padded", "pad"), "conv", 16, 16, output="y")
    found, optimised = attributed(b.build(16), tmp_path)
    assert not any(node.op_type == "Pad" for node in optimised.graph.node)
    assert found.absorbed["pad"] == "conv"


def test_pattern_that_becomes_one_node(tmp_path):
    b = Builder(4, 8)
    scaled = b.node("Div", ["x", b.constant("root", np.array(2**0.5, np.float32))], "d", "div")
    raised = b.node("Add", [b.node("Erf", [scaled], "e", "erf"), b.constant("one", np.float32(1))],
                    "a", "add")  # fmt: skip
    product = b.node("Mul", ["x", raised], "m", "mul")
    b.node("Mul", [product, b.constant("half", np.float32(0.5))], "y", "gelu")
    found, optimised = attributed(b.build(4), tmp_path)
    assert [node.op_type for node in optimised.graph.node] == ["Gelu"]
    assert list(found.owner.values()) == ["gelu"]
    assert found.absorbed == dict.fromkeys(["div", "erf", "add", "mul"], "gelu")


def test_rewritten_nodes_belong_to_the_node_they_are_named_after(tmp_path):
    proto = style_net()
    original = [node.name for node in proto.graph.node]
    for node in proto.graph.node:
        if node.name == "sigmoid":
            node.input[0] = "doubled"
    head = next(i for i, node in enumerate(proto.graph.node) if node.name == "head")
    proto.graph.node.insert(
        head + 1, onnx.helper.make_node("Abs", ["head_out"], ["doubled"], name="head/abs")
    )
    found, _ = attributed(proto, tmp_path, original)
    assert found.owner["head/abs"] == "head"


def test_unrelated_new_nodes_go_to_a_neighbour(tmp_path):
    proto = style_net()
    original = [node.name for node in proto.graph.node if node.name != "norm"]
    found, _ = attributed(proto, tmp_path, original)
    assert found.owner["norm"] == "stem"


@pytest.mark.parametrize("name", SUITE)
def test_real_graphs(shared_suite, tmp_path, name):
    proto = load_model(shared_suite / f"{name}.onnx").proto
    found, optimised = attributed(proto, tmp_path)
    names = {node.name for node in proto.graph.node}
    assert set(found.owner.values()) | found.absorbed.keys() == names
    convolutions = {n.name for n in proto.graph.node if n.op_type == "Conv"}
    owners = {
        found.owner[n.name] for n in optimised.graph.node if n.op_type in ("Conv", "FusedConv")
    }
    assert owners == convolutions


def test_kernel_times_of_a_profile(tmp_path):
    session = Device.of().open(style_net(), profile_prefix=tmp_path / "p")
    feeds = random_feeds(session)
    for _ in range(4):
        session.run(None, feeds)
    path = session.end_profiling()
    kernels, whole = kernel_times(type(tmp_path)(path), skip_runs=1)
    assert whole.shape == (3,)
    assert kernels["norm"].shape == (3,)
    assert all((us >= 0).all() for us in kernels.values())
    assert len(json.loads((tmp_path / path).read_text())) > len(kernels)


def test_charging_leaves_nothing_out():
    found = Attribution({"k1": "a", "k2": "a", "k3": "b"}, {"c": "b"})
    assert found.charge({"k1": 1.0, "k2": 2.0, "k3": 4.0}) == {"a": 3.0, "b": 4.0, "c": 0.0}
