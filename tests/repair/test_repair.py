from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from decig.data.crops import fit
from decig.data.feeds import Feeds
from decig.data.images import ImageFolder
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.model import (
    infer_shapes,
    initializers,
    input_info,
    load_model,
    normalise,
    replace_initializers,
)
from decig.graph.plan import Plan, plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.quality.metrics import ssim
from decig.repair.activations import run_graph
from decig.repair.repair import repair
from decig.repair.scores import Importance
from tests.graph.shared_nets import siamese
from tests.graph.tiny import tiny
from tests.repair.small import INPUTS, NORMS, generator


@pytest.mark.parametrize("norm", NORMS)
def test_nothing_removed_is_nothing_changed(norm: str) -> None:
    proto = generator(norm)
    channels = analyse(proto)
    repaired = repair(proto, channels, Plan("", {}), INPUTS)
    assert np.array_equal(run_graph(proto, INPUTS), run_graph(repaired, INPUTS))


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
    kept = run_graph(repair(proto, channels, plan, INPUTS), INPUTS)
    assert np.abs(lost - wanted).max() > 0.1 * np.ptp(wanted)
    assert np.abs(kept - wanted).max() < 1e-3 * np.ptp(wanted)


@pytest.mark.parametrize("channels", [1, 12])
def test_what_a_sum_broadcasts_is_added(channels: int) -> None:
    body = """
        [p] a = Conv<pads=[1, 1, 1, 1]>(x, wp)
        r = Relu(a)
        m = GlobalAveragePool(r)
        [q] q = Conv(m, wq)
        [b] b = Conv<pads=[1, 1, 1, 1]>(r, wb)
        s = Add(b, q)
        [o] y = Conv(s, wo)
    """
    shapes = {"wp": (12, 3, 3, 3), "wq": (channels, 12, 1, 1), "wb": (12, 12, 3, 3)}
    proto = tiny(body, inputs="float[1,3,20,20] x", **shapes, wo=(3, 12, 1, 1))
    groups = analyse(proto)
    plan = Plan("", {"p": list(range(8))})
    wanted = run_graph(proto, INPUTS)
    lost = run_graph(slice_graph(proto, groups, plan), INPUTS)
    kept = run_graph(repair(proto, groups, plan, INPUTS), INPUTS)
    assert np.square(kept - wanted).mean() < 0.5 * np.square(lost - wanted).mean()


def test_importance_orders_channels_and_prices_groups() -> None:
    proto = generator("InstanceNormalization")
    muted = initializers(proto)["n.scale"].copy()
    muted[5] = 0.0
    shift = initializers(proto)["n.shift"].copy()
    shift[5] = -1.0
    replace_initializers(proto, {"n.scale": muted, "n.shift": shift})
    channels = analyse(proto)
    found = Importance(proto, channels, INPUTS)
    group = next(g.name for g in channels.prunable if g.channels == 12)
    assert found.order[group][-1] == 5
    for curve in found.loss.values():
        assert (np.diff(curve) <= 1e-9).all()
        assert curve[-1] == 0
    assert found.loss[group][11] < 1e-2 * found.loss[group][6]


@pytest.mark.parametrize(
    ("name", "seen", "judged"),
    [
        ("fns_candy_nc16.onnx", 3, 2),
        pytest.param("udnie.onnx", 6, 4, marks=pytest.mark.slow),
    ],
)
def test_real_pictures_come_back(
    shared_suite: Path, shared_data: Path, name: str, seen: int, judged: int
) -> None:
    model = load_model(shared_suite / name)
    pixels = PixelFormat((0.0, 255.0), (0.0, 255.0))

    def read(split: str, count: int) -> list[Feeds]:
        (name,) = (info.name for info in input_info(model.proto))
        folder = ImageFolder(shared_data / "photos" / split)
        images = [fit(image, 256, 256) for _, (_, image) in zip(range(count), folder, strict=False)]
        return [{name: pixels.to_tensor(image[None])} for image in images]

    channels = analyse(model.proto)
    widths = uniform_widths(channels, 0.75)
    scores = magnitude_scores(model.proto, channels)
    plan = plan_from_widths(channels, widths, scores, model.sha256)
    photos = read("val", judged)
    wanted = pixels.to_unit(run_graph(model.proto, photos))
    sliced = slice_graph(model.proto, channels, plan)
    repaired = repair(model.proto, channels, plan, read("train", seen))
    before = ssim(pixels.to_unit(run_graph(sliced, photos)), wanted)
    after = ssim(pixels.to_unit(run_graph(repaired, photos)), wanted)
    assert after > before + 0.15


@pytest.mark.parametrize("norm", NORMS)
def test_halves_are_scored_and_repaired(norm: str) -> None:
    proto = generator(norm, residual=True, dtype=np.float16)
    last = proto.graph.node[-1]
    last.output[0] = "picture"
    proto.graph.node.append(helper.make_node("Mul", ["picture", "scale"], ["y"], name="scaled"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(2, np.float16), "scale"))
    infer_shapes(proto)
    inputs = [{"x": feeds["x"].astype(np.float16)} for feeds in INPUTS]
    channels = analyse(proto)
    scores = Importance(proto, channels, inputs)
    assert all(np.isfinite(curve).all() and curve[0] > 0 for curve in scores.loss.values())
    keep = {
        name: sorted(order[: len(order) * 2 // 3].tolist()) for name, order in scores.order.items()
    }
    plan = Plan("", keep)
    wanted, lost, kept = (
        run_graph(each, inputs).astype(np.float32)
        for each in (
            proto,
            slice_graph(proto, channels, plan),
            repair(proto, channels, plan, inputs),
        )
    )
    assert np.square(kept - wanted).mean() < 0.7 * np.square(lost - wanted).mean()


def test_a_batch_norm_in_training_mode_is_repaired_like_an_instance_norm() -> None:
    proto = generator("training mode", residual=True)
    twin = onnx.ModelProto()
    twin.CopyFrom(proto)
    for node in twin.graph.node:
        if node.op_type == "BatchNormalization":
            node.op_type = "InstanceNormalization"
            del node.input[3:], node.output[1:], node.attribute[:]
    channels = analyse(proto)
    keep = {group.name: list(range(0, group.channels, 2)) for group in channels.prunable}
    pictures = [
        run_graph(repair(graph, analyse(graph), Plan("", keep), INPUTS), INPUTS)
        for graph in (proto, infer_shapes(twin))
    ]
    np.testing.assert_allclose(*pictures, atol=1e-4)


def test_images_of_which_the_model_computes_no_numbers_end_in_one_line() -> None:
    proto = tiny(
        "a = Conv(x, w)\n [root] r = Sqrt(a)\n y = Conv(r, v)", w=(8, 3, 1, 1), v=(3, 8, 1, 1)
    )
    channels = analyse(proto)
    inputs = [{"x": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}]
    wanted = r"^node root \(Sqrt\) computes NaN"
    (group,) = channels.prunable
    with pytest.raises(BadInputError, match=wanted):
        repair(proto, channels, Plan("", {group.name: [0, 1, 2]}), inputs)
    with pytest.raises(BadInputError, match=wanted):
        Importance(proto, channels, inputs)


def test_weights_that_several_nodes_share_stay_one_and_the_others_are_solved() -> None:
    proto = normalise(siamese())
    channels = analyse(proto)
    plan = Plan("", {"s1": [0, 2, 4, 6], "s2": [0, 1, 2]})
    rng = np.random.default_rng(0)
    inputs = [
        {name: rng.normal(size=(1, 3, 8, 8)).astype(np.float32) for name in ("xs", "xt")}
        for _ in range(8)
    ]
    sliced, repaired = slice_graph(proto, channels, plan), repair(proto, channels, plan, inputs)
    before, after = initializers(sliced), initializers(repaired)
    assert before.keys() == after.keys()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"w3"}
    wanted = run_graph(proto, inputs)
    errors = [np.square(run_graph(graph, inputs) - wanted).mean() for graph in (sliced, repaired)]
    assert errors[1] < errors[0]
