from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from decig.data.ports import AmbiguousPortError
from decig.device.run.numbers import NoNumbersError
from decig.graph.channels import Group, analyse
from decig.graph.model import initializers, load_model, normalise, replace_initializers
from decig.repair.readers import find_readers
from decig.repair.sensitivity import Sensitivity
from tests.curves import write_curves
from tests.repair.small import INPUTS, NORMS, generator


def _sensitivity(proto: onnx.ModelProto) -> tuple[Sensitivity, list[Group]]:
    channels = analyse(proto)
    readers = find_readers(proto, channels, INPUTS)
    return Sensitivity(proto, readers, INPUTS, groups=2), channels.prunable


@pytest.mark.parametrize("norm", NORMS)
def test_the_more_goes_the_more_is_lost(norm: str) -> None:
    picture, groups = _sensitivity(generator(norm, residual=True))
    for group in groups:
        losses = [picture.error(group.classes[:count]) for count in (0, 4, group.channels - 1)]
        assert losses[0] == 0 < losses[1] < losses[2]


def test_what_repeats_another_channel_is_not_missed() -> None:
    proto = generator("InstanceNormalization")
    weights = initializers(proto)
    for name in ("a.weight", "n.scale", "n.shift"):
        twin = weights[name].copy()
        twin[7] = twin[2]
        replace_initializers(proto, {name: twin})
    picture, groups = _sensitivity(proto)
    group = next(g for g in groups if g.channels == 12)
    assert picture.error(group.classes[[7]]) < 1e-3
    assert picture.error(group.classes[[2, 7]]) > 0.01


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_colour_counts_twice(layout: str) -> None:
    mixed = np.array([[1, 1, 1], [0.1, -0.1, 0], [0.1, 0.1, -0.2]], np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "mix"], ["m"], name="mix"),
        helper.make_node("Conv", ["m", "head"], ["o"], name="head"),
        helper.make_node("Transpose", ["o"], ["y"], perm=[0, 2, 3, 1], name="turn"),
    ]
    if layout == "nchw":
        nodes[1].output[0] = "y"
        nodes.pop()
    shape = [1, 3, 20, 20] if layout == "nchw" else [1, 20, 20, 3]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 20, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.eye(3, dtype=np.float32)[..., None, None], "mix"),
            numpy_helper.from_array(np.ascontiguousarray(mixed.T)[..., None, None], "head"),
        ],
    )
    opsets = [helper.make_opsetid("", 20)]
    proto = normalise(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    picture, groups = _sensitivity(proto)
    seen = np.concatenate([feeds["x"] for feeds in INPUTS[-4:]])
    variance = np.einsum("nchw,ck->nkhw", seen, mixed).var()
    for place, label in enumerate(groups[0].classes):
        energy = seen[:, place].var() * np.square(mixed[place]).mean()
        wanted = (1 if place == 0 else 2) * energy / variance
        assert picture.error(np.array([label])) == pytest.approx(wanted, rel=0.1)


def _curves(tmp_path: Path) -> tuple[onnx.ModelProto, list[dict[str, np.ndarray]]]:
    proto = load_model(write_curves(tmp_path / "curves.onnx")).proto
    rng = np.random.default_rng(0)
    return proto, [{"image": rng.random((1, 3, 24, 24), np.float32)} for _ in range(2)]


def test_the_named_picture_is_the_one_that_counts(tmp_path: Path) -> None:
    proto, inputs = _curves(tmp_path)
    channels = analyse(proto)
    readers = find_readers(proto, channels, inputs)
    (group,) = channels.prunable
    with pytest.raises(AmbiguousPortError, match="halfway"):
        Sensitivity(proto, readers, inputs, groups=1)
    errors = {}
    for name in ("halfway", "final"):
        single = onnx.ModelProto.FromString(proto.SerializeToString())
        kept = [output for output in single.graph.output if output.name == name]
        del single.graph.output[:]
        single.graph.output.extend(kept)
        alone = Sensitivity(single, readers, inputs, groups=1).error(group.classes[:6])
        named = Sensitivity(proto, readers, inputs, groups=1, picture=name)
        errors[name] = named.error(group.classes[:6])
        assert errors[name] == pytest.approx(alone, rel=1e-5)
    assert errors["halfway"] != pytest.approx(errors["final"], rel=1e-2)


def test_all_outputs_of_an_encoder_count(tmp_path: Path) -> None:
    proto, inputs = _curves(tmp_path)
    del proto.graph.output[:]
    shapes = {"h": [1, 6, 24, 24], "curves": [1, 6, 24, 24]}
    infos = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()}
    proto.graph.output.extend(infos.values())
    proto = normalise(proto)
    channels = analyse(proto)
    readers = find_readers(proto, channels, inputs)
    gone = channels.prunable[0].classes[:6]
    together, *single = (
        Sensitivity(proto, readers, inputs, groups=1, picture=name).error(gone)
        for name in (None, "h", "curves")
    )
    assert single[0] != pytest.approx(single[1], rel=1e-3)
    assert together == pytest.approx(np.mean(single), rel=1e-5)


def test_a_graph_that_overflows_without_channels_has_lost_the_picture() -> None:
    proto = generator("InstanceNormalization")
    channels = analyse(proto)
    readers = find_readers(proto, channels, INPUTS)
    beyond = [replace(reader, mean=np.full_like(reader.mean, np.nan)) for reader in readers]
    picture = Sensitivity(proto, beyond, INPUTS, groups=2)
    for group in channels.prunable:
        assert picture.error(group.classes[:0]) == 0
        assert 4 <= picture.error(group.classes[: group.channels - 1]) <= 8


def test_a_graph_that_paints_no_numbers_is_refused() -> None:
    proto = generator("InstanceNormalization")
    readers = find_readers(proto, analyse(proto), INPUTS)
    weight = initializers(proto)["o.weight"]
    replace_initializers(proto, {"o.weight": np.full_like(weight, np.nan)})
    with pytest.raises(NoNumbersError, match=r"\(Conv\) computes NaN: check the weights"):
        Sensitivity(proto, readers, INPUTS, groups=2)
