from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from decig.data.crops import fit
from decig.data.images import ImageFolder
from decig.data.pixels import PixelFormat
from decig.graph.channels import analyse
from decig.graph.model import initializers, load_model, normalise, replace_initializers
from decig.graph.plan import Plan, plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.quality.metrics import ssim
from decig.repair.activations import run_graph
from decig.repair.repair import repair
from decig.repair.scores import importance


def generator(norm: str, seed: int = 0) -> ModelProto:
    """Conv, norm, relu, ConvTranspose with bias, relu, conv to RGB."""
    rng = np.random.default_rng(seed)
    constants: list[TensorProto] = []

    def constant(name: str, *shape: int, mean: float = 0.0) -> str:
        values = rng.normal(mean, 0.3, shape).astype(np.float32)
        values = np.abs(values) if name.endswith("var") else values
        constants.append(numpy_helper.from_array(values, name))
        return name

    affine = [constant("n.scale", 12, mean=1.0), constant("n.shift", 12)]
    if norm == "BatchNormalization":
        affine += [constant("n.mean", 12), constant("n.var", 12, mean=1.0)]
    nodes = [
        helper.make_node("Conv", ["x", constant("a.weight", 12, 3, 3, 3)], ["a"], pads=[1] * 4),
        helper.make_node(norm, ["a", *affine], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node(
            "ConvTranspose",
            ["r", constant("t.weight", 12, 8, 4, 4), constant("t.bias", 8)],
            ["t"],
            strides=[2, 2],
            pads=[1] * 4,
        ),
        helper.make_node("Relu", ["t"], ["u"]),
        helper.make_node("Conv", ["u", constant("o.weight", 3, 8, 3, 3)], ["y"], pads=[1] * 4),
    ]
    for index, node in enumerate(nodes):
        node.name = f"node{index}"
    graph = helper.make_graph(
        nodes,
        "generator",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 20, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 40, 40])],
        constants,
    )
    opsets = [helper.make_opsetid("", 20)]
    return normalise(helper.make_model(graph, opset_imports=opsets, ir_version=10))


INPUTS = np.random.default_rng(1).normal(size=(6, 3, 20, 20)).astype(np.float32)
NORMS = ["InstanceNormalization", "BatchNormalization"]


@pytest.mark.parametrize("norm", NORMS)
def test_nothing_removed_is_nothing_changed(norm: str) -> None:
    proto = generator(norm)
    channels = analyse(proto)
    repaired = repair(proto, channels, Plan("", {}), INPUTS)
    before, after = run_graph(proto, INPUTS), run_graph(repaired, INPUTS)
    assert np.abs(before - after).max() < 0.02 * np.ptp(before)


@pytest.mark.parametrize("norm", NORMS)
def test_a_channel_that_repeats_another_goes_without_a_trace(norm: str) -> None:
    proto = generator(norm)
    weights = initializers(proto)
    for name in ("a.weight", "n.scale", "n.shift", "n.mean", "n.var"):
        if name in weights:
            twin = weights[name].copy()
            twin[7] = twin[2]
            replace_initializers(proto, {name: twin})
    channels = analyse(proto)
    group = next(g.name for g in channels.prunable if g.channels == 12)
    plan = Plan("", {group: [i for i in range(12) if i != 7]})
    wanted = run_graph(proto, INPUTS)
    lost = run_graph(slice_graph(proto, channels, plan), INPUTS)
    kept = run_graph(repair(proto, channels, plan, INPUTS, ridge=1e-6), INPUTS)
    assert np.abs(lost - wanted).max() > 0.1 * np.ptp(wanted)
    assert np.abs(kept - wanted).max() < 0.03 * np.ptp(wanted)


def test_importance_orders_channels_and_prices_groups() -> None:
    proto = generator("InstanceNormalization")
    muted = initializers(proto)["n.scale"].copy()
    muted[5] = 0.0
    shift = initializers(proto)["n.shift"].copy()
    shift[5] = -1.0
    replace_initializers(proto, {"n.scale": muted, "n.shift": shift})
    channels = analyse(proto)
    found = importance(proto, channels, INPUTS)
    group = next(g.name for g in channels.prunable if g.channels == 12)
    assert found.order[group][-1] == 5
    for curve in found.loss.values():
        assert (np.diff(curve) <= 1e-9).all()
        assert curve[-1] == 0
    assert found.loss[group][11] < 1e-2 * found.loss[group][6]


def test_real_pictures_come_back(shared_suite: Path, shared_data: Path) -> None:
    model = load_model(shared_suite / "udnie.onnx")
    pixels = PixelFormat((0.0, 255.0), (0.0, 255.0))

    def read(split: str, count: int) -> np.ndarray:
        folder = ImageFolder(shared_data / "photos" / split)
        images = [fit(image, 256, 256) for _, (_, image) in zip(range(count), folder, strict=False)]
        return pixels.to_tensor(np.stack(images))

    channels = analyse(model.proto)
    widths = uniform_widths(channels, 0.75)
    scores = magnitude_scores(model.proto, channels)
    plan = plan_from_widths(channels, widths, scores, model.sha256)
    photos = read("val", 4)
    wanted = pixels.to_unit(run_graph(model.proto, photos))
    sliced = slice_graph(model.proto, channels, plan)
    repaired = repair(model.proto, channels, plan, read("train", 6))
    before = ssim(pixels.to_unit(run_graph(sliced, photos)), wanted)
    after = ssim(pixels.to_unit(run_graph(repaired, photos)), wanted)
    assert after > before + 0.1
