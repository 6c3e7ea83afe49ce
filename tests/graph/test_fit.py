"""Sizes that do not fit together are refused in one line; whatever they are, nothing hangs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, numpy_helper, shape_inference

from decig.errors import BadInputError
from decig.graph import rewrite
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import load_model, normalise
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.graph.traffic import traffic
from tests.graph.random_graphs import RandomGraph, random_graphs
from tests.graph.tiny import parse, tiny

WINDOWS = """
    a = Conv<pads=[1,1,1,1]>(x, w1)
    size = Shape(a)
    rows = Gather(size, two)
    columns = Gather(size, three)
    high = Div(rows, eight)
    wide = Div(columns, eight)
    target = Concat<axis=0>(channels, high, eight, wide, eight)
    [split] p = Reshape(a, target)
    q = ReduceMean<axes=[3,5], keepdims=0>(p)
    y = Conv(q, w2)
"""
"""The mean of every window of 8 x 8; the number of windows is rounded down."""


def windows(path: Path) -> Path:
    numbers = {"two": [2], "three": [3], "eight": [8], "channels": [1, 4]}
    inputs = "float[1,3,h,w] x"
    onnx.save(parse(WINDOWS, inputs=inputs, w1=(4, 3, 3, 3), w2=(3, 4, 1, 1), **numbers), path)
    return path


def test_a_picture_that_is_not_whole_windows(tmp_path: Path):
    path = windows(tmp_path / "windows.onnx")
    wanted = (
        r"windows.onnx: Reshape split cannot make 1x4x7x8x7x8 \(12544 elements\) of 1x4x60x60 "
        r"\(14400 elements\): give another size of input with --input-shape$"
    )
    with pytest.raises(BadInputError, match=wanted) as refusal:
        load_model(path, {"x": [1, 3, 60, 60]})
    assert refusal.value.exit_code == 2


def test_a_picture_of_whole_windows(tmp_path: Path):
    model = load_model(windows(tmp_path / "windows.onnx"), {"x": [1, 3, 64, 64]})
    assert [group.channels for group in analyse(model.proto).prunable] == [4]


@pytest.mark.parametrize(
    ("body", "weights", "message"),
    [
        ("[c] y = Conv(x, w)", {"w": (4, 3, 11, 11)}, "Conv c would make 1x4x-2x-2 of 1x3x8x8"),
        ("[p] y = MaxPool<kernel_shape=[10,10]>(x)", {}, "MaxPool p would make 1x3x-1x-1"),
        ("[c] y = Conv(x, w)", {"w": (4, 3, 9, 3)}, "Conv c would make 1x4x0x6 of 1x3x8x8"),
        ("[p] y = Pad(x, a)", {"a": [0, 0, -5, 0, 0, 0, -5, 0]}, "Pad p would make 1x3x-2x8"),
        ("[c] y = Conv(x, w)", {"w": (4, 5, 1, 1)}, "Conv c in 1 groups has weights 4x5x1x1"),
        ("[c] y = Conv<group=2>(x, w)", {"w": (4, 3, 1, 1)}, "Conv c in 2 groups has weights"),
        ("[c] y = Conv<group=3>(x, w)", {"w": (4, 1, 1, 1)}, "Conv c in 3 groups has weights"),
        ("[c] y = Conv<group=0>(x, w)", {"w": (4, 3, 1, 1)}, "Conv c in 0 groups has weights"),
        ("[t] y = ConvTranspose(x, w)", {"w": (4, 3, 1, 1)}, "ConvTranspose t in 1 groups has"),
        (
            "[n] y = InstanceNormalization(x, s, s)",
            {"s": (4,)},
            "InstanceNormalization n has 4 numbers for 1x3x8x8",
        ),
        ("[r] y = Reshape(x, s)", {"s": [1, 3, 8, 9]}, "Reshape r cannot make 1x3x8x9"),
    ],
)
def test_sizes_that_do_not_fit(body: str, weights: dict[str, Any], message: str):
    with pytest.raises(BadInputError) as refusal:
        tiny(body, **weights)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kernel", [(10, 10), (11, 11)])
def test_a_crop_of_a_negative_size_is_refused_rather_than_aborted(kernel: tuple[int, int]):
    """ONNX's inference of the Slice ends the process, two of them in a row as well."""
    body = """
        first = Slice(x, starts, ends, axes)
        [c] a = Conv(first, w)
        y = Slice(a, starts, ends, axes)
    """
    with pytest.raises(BadInputError, match=r"Conv c would make 1x4x-\dx-\d of 1x3x7x8"):
        tiny(body, w=(4, 3, *kernel), starts=[0], ends=[7], axes=[2])


def test_crops_of_large_windows_stay_as_they_are():
    body = "a = Conv(x, w)\n y = Slice(a, starts, ends, axes)"
    proto = tiny(body, w=(4, 3, 5, 5), starts=[1], ends=[3], axes=[2])
    assert [node.op_type for node in proto.graph.node] == ["Conv", "Slice"]


def test_a_size_that_onnx_itself_refuses_is_blamed_rather_than_the_file(tmp_path: Path):
    body = "[down] a = Conv<strides=[2,2]>(x, w)\n [sum] y = Add(a, map)"
    proto = parse(body, inputs="float[1,3,h,w] x", w=(3, 3, 2, 2), map=(1, 1, 4, 4))
    path = tmp_path / "map.onnx"
    onnx.save(proto, path)
    load_model(path, {"x": [1, 3, 8, 8]})
    wanted = (
        "map.onnx: the graph does not fit together with --input-shape x:1,3,16,16: Add sum: "
        "Incompatible dimensions; give another size"
    )
    with pytest.raises(BadInputError, match=wanted):
        load_model(path, {"x": [1, 3, 16, 16]})


_SIZES = (-2, -1, 0, 1, 2, 3, 5, 7, 64, 10**4)


def damaged(proto: onnx.ModelProto, dice: np.random.Generator) -> onnx.ModelProto:
    """Return a copy in which one to three sizes are others."""
    broken = onnx.ModelProto.FromString(proto.SerializeToString())
    for _ in range(dice.integers(1, 4)):
        size = int(dice.choice(_SIZES))
        listed = [t for t in broken.graph.initializer if t.data_type == TensorProto.INT64]
        values = [*broken.graph.value_info, *broken.graph.input]
        kind = dice.integers(3)
        if kind == 0 and listed:
            tensor = listed[dice.integers(len(listed))]
            array = numpy_helper.to_array(tensor).copy()
            if array.size:
                array.flat[dice.integers(array.size)] = size
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        elif kind == 1:
            dims = values[dice.integers(len(values))].type.tensor_type.shape.dim
            if dims:
                dims[dice.integers(len(dims))].dim_value = size
        else:
            found = [a for node in broken.graph.node for a in node.attribute]
            found = [a for a in found if a.type == AttributeProto.INTS and a.ints]
            if found:
                attribute = found[dice.integers(len(found))]
                attribute.ints[dice.integers(len(attribute.ints))] = size
    return broken


_QUICK = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@_QUICK
@given(random_graphs(), st.integers(0, 2**16))
def test_whatever_the_sizes_are_the_analysis_ends(graph: RandomGraph, seed: int):
    """Even of a graph that was never checked: what does not fit is frozen."""
    broken = damaged(graph.proto, np.random.default_rng(seed))
    analyse(broken)
    count(broken)
    traffic(broken)


@_QUICK
@given(random_graphs(), st.integers(0, 2**16))
def test_whatever_the_sizes_are_a_graph_is_refused_or_sliced(graph: RandomGraph, seed: int):
    broken = damaged(graph.proto, np.random.default_rng(seed))
    try:
        proto = normalise(broken)
    except (BadInputError, shape_inference.InferenceError, onnx.checker.ValidationError):
        return
    channels = analyse(proto)
    scores = magnitude_scores(proto, channels)
    slice_graph(
        proto, channels, plan_from_widths(channels, uniform_widths(channels, 0.5), scores, "")
    )
    rewrite.apply(proto)


def test_most_elements_of_a_folded_constant():
    """Half a terabyte of zeros stays an operator."""
    side = 200_000
    body = "zeros = ConstantOfShape(size)\n [sum] y = Add(x, zeros)"
    proto = tiny(body, inputs=f"float[1,3,{side},{side}] x", size=[1, 3, side, side])
    assert [node.op_type for node in proto.graph.node] == ["ConstantOfShape", "Add"]
    assert sum(math.prod(tensor.dims) for tensor in proto.graph.initializer) == 4
