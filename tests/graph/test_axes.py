"""Dynamic sizes: analysed at one, sliced, run at others against the masked original."""

from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import pytest

from decig.errors import BadInputError
from decig.graph.axes import analysed_sizes
from decig.graph.channels import analyse
from decig.graph.model import Model, infer_shapes, input_info, load_model, save_model
from decig.graph.oracle import masked_graph
from decig.graph.plan import Plan, plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from tests.graph.tiny import parse, random_feeds, run

TOLERANCE = 1e-5
WEIGHTS = {"w1": (8, 3, 3, 3), "w2": (8, 8, 3, 3), "w3": (3, 8, 3, 3)}
IN = "[c1] a = Conv<pads=[1,1,1,1]>(x, w1)\n"
MID = "[c2] m = Conv<pads=[1,1,1,1]>(a, w2)\n"
OUT = "[c3] y = Conv<pads=[1,1,1,1]>(z, w3)\n"
NUMBERS = {"zero": 0, "one": 1, "two": 2, "three": 3, "int8": 8}


def half(model: Model) -> Plan:
    channels = analyse(model.proto)
    widths = uniform_widths(channels, 0.5)
    assert widths, "nothing can be cut"
    scores = magnitude_scores(model.proto, channels)
    return plan_from_widths(channels, widths, scores, model.sha256)


def require_dynamic(path: Path, *shapes: list[int], least: int = 2) -> onnx.ModelProto:
    """Slice a file at the first shape and run the result at all against the masked original.

    At least `least` groups must be cut. Returns the sliced graph.
    """
    name = next(v.name for v in onnx.load(path).graph.input)
    model = load_model(path, {name: shapes[0]})
    plan = half(model)
    assert len(plan.keep) >= least
    sliced = model.reopen(slice_graph(model.proto, analyse(model.proto), plan))
    onnx.checker.check_model(sliced)
    for shape in shapes:
        there = load_model(path, {name: shape})
        masked = masked_graph(there.proto, analyse(there.proto), plan)
        feeds = random_feeds(there.proto)
        for wanted, found in zip(run(masked, feeds), run(sliced, feeds), strict=True):
            assert found.shape == wanted.shape
            assert np.abs(found - wanted).max() <= TOLERANCE * np.ptp(wanted)
    return sliced


def write(tmp_path: Path, body: str, shape: str = "N,3,H,W", **more: object) -> Path:
    path = tmp_path / "dynamic.onnx"
    used = {name: array for name, array in WEIGHTS.items() if name in body}
    path.write_bytes(parse(body, inputs=f"float[{shape}] x", **used, **more).SerializeToString())
    return path


SIZES = ([1, 3, 8, 8], [2, 3, 8, 12], [1, 3, 20, 6])

ARITHMETIC = {
    "nothing computed": IN + MID + "z = Relu(m)\n" + OUT,
    "flattened and back": IN
    + MID
    + """
        s = Shape(m)
        flat = Reshape(m, flat_to)
        r = Relu(flat)
        z = Reshape(r, s)
    """
    + OUT,
    "one size at a time, the channels written": IN
    + MID
    + """
        s = Shape(m)
        n = Gather(s, zero)
        h = Gather(s, two)
        w = Gather(s, three)
        hw = Mul(h, w)
        n1 = Unsqueeze(n, at)
        hw1 = Unsqueeze(hw, at)
        h1 = Unsqueeze(h, at)
        w1_ = Unsqueeze(w, at)
        to = Concat<axis=0>(n1, eight, hw1)
        flat = Reshape(m, to)
        r = Sigmoid(flat)
        back = Concat<axis=0>(n1, eight, h1, w1_)
        z = Reshape(r, back)
    """
    + OUT,
    "channels times height": IN
    + MID
    + """
        s = Shape(m)
        n = Gather(s, zero)
        h = Gather(s, two)
        w = Gather(s, three)
        ch = Mul(h, int8)
        n1 = Unsqueeze(n, at)
        ch1 = Unsqueeze(ch, at)
        w1_ = Unsqueeze(w, at)
        to = Concat<axis=0>(n1, ch1, w1_)
        rows = Reshape(m, to)
        r = Relu(rows)
        z = Reshape(r, s)
    """
    + OUT,
    "resized to a computed size": IN
    + MID
    + """
        s = Shape(m)
        hw = Slice(s, from2, to4)
        grown = Mul(hw, twice)
        nc = Slice(s, from0, from2)
        sizes = Concat<axis=0>(nc, grown)
        z = Resize<mode="nearest">(m, , , sizes)
    """
    + OUT,
    "resized by a computed factor": IN
    + MID
    + """
        s = Shape(m)
        hw = Slice(s, from2, to4)
        grown = Mul(hw, twice)
        new = Cast<to=1>(grown)
        old = Cast<to=1>(hw)
        factor = Div(new, old)
        scales = Concat<axis=0>(ones, factor)
        z = Resize<mode="nearest">(m, , scales)
    """
    + OUT,
    "padded to a multiple of four and cropped": """
        s = Shape(x)
        hw = Slice(s, from2, to4)
        rest = Mod(hw, fours)
        lack = Sub(fours, rest)
        by = Mod(lack, fours)
        pads = Concat<axis=0>(zeros4, zeros2, by)
        p = Pad<mode="edge">(x, pads)
        [c1] a = Conv<pads=[1,1,1,1]>(p, w1)
        [c2] m = Conv<pads=[1,1,1,1]>(a, w2)
        z = Slice(m, zeros2, hw, axes23)
    """
    + OUT,
    "a grid of positions": IN
    + MID
    + """
        s = Shape(m)
        w = Gather(s, three)
        across = Range(zero, w, one)
        grid = Cast<to=1>(across)
        z = Add(m, grid)
    """
    + OUT,
    "zeros of a computed shape": IN
    + MID
    + """
        s = Shape(m)
        nothing = ConstantOfShape(s)
        z = Add(m, nothing)
    """
    + OUT,
    "heads of attention": IN
    + MID
    + """
        s = Shape(m)
        n = Slice(s, from0, to1)
        hw = Slice(s, from2, to4)
        area = ReduceProd<axes=[0], keepdims=1>(hw)
        split = Concat<axis=0>(n, heads, width, area)
        q = Reshape(m, split)
        f = Softmax<axis=-1>(q)
        z = Reshape(f, s)
    """
    + OUT,
    "a learned map for every image of the batch": IN
    + MID
    + """
        s = Shape(m)
        n = Slice(s, from0, to1)
        to = Concat<axis=0>(n, eight, twice)
        all = Expand(learned, to)
        p = GlobalAveragePool(all)
        z = Add(m, p)
    """
    + OUT,
    "a learned map expanded to another's shape": IN
    + MID
    + """
        s = Shape(m)
        all = Expand(bias, s)
        z = Mul(m, all)
    """
    + OUT,
    "the shape of another tensor": IN
    + MID
    + """
        s = Shape(a)
        hw = Slice(s, from2, to4)
        ms = Shape(m)
        nc = Slice(ms, from0, from2)
        sizes = Concat<axis=0>(nc, hw)
        b = MaxPool<kernel_shape=[2,2], strides=[2,2]>(m)
        z = Resize<mode="nearest">(b, , , sizes)
    """
    + OUT,
}
CONSTANTS = {
    "at": [0],
    "eight": [8],
    "flat_to": [0, 0, -1],
    "from0": [0],
    "from2": [2],
    "to4": [4],
    "to1": [1],
    "heads": [2],
    "bias": np.random.default_rng(4).normal(size=(1, 8, 1, 1)).astype(np.float32),
    "width": [4],
    "learned": np.random.default_rng(3).normal(size=(1, 8, 2, 2)).astype(np.float32),
    "twice": [2, 2],
    "fours": [4, 4],
    "zeros2": [0, 0],
    "zeros4": [0, 0, 0, 0],
    "axes23": [2, 3],
    "ones": np.ones(2, np.float32),
    **{name: np.int64(value) for name, value in NUMBERS.items()},
}


@pytest.mark.parametrize("case", ARITHMETIC)
def test_computed_sizes(case: str, tmp_path: Path):
    body = ARITHMETIC[case]
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    constants = {name: value for name, value in CONSTANTS.items() if name in words}
    sliced = require_dynamic(write(tmp_path, body, **constants), *SIZES)
    assert [d.dim_param for d in sliced.graph.input[0].type.tensor_type.shape.dim][2:] == ["H", "W"]


def test_only_the_batch_is_dynamic(tmp_path: Path):
    body = IN + MID + "z = Relu(m)\n" + OUT
    path = write(tmp_path, body, "N,3,8,8")
    sliced = require_dynamic(path, [1, 3, 8, 8], [5, 3, 8, 8])
    dims = sliced.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["N", 3, 8, 8]


def test_a_static_file_stays_static(tmp_path: Path):
    path = write(tmp_path, IN + MID + "z = Relu(m)\n" + OUT, "1,3,8,8")
    model = load_model(path)
    assert model.axes is None
    assert model.reopen(model.proto) is model.proto


def test_a_written_file_opens_at_the_size_it_was_analysed_at(tmp_path: Path):
    model = load_model(write(tmp_path, IN + MID + "z = Relu(m)\n" + OUT), {"x": [1, 3, 16, 24]})
    path = tmp_path / "out.onnx"
    save_model(model.reopen(model.proto), path)
    again = load_model(path)
    assert input_info(again.proto)[0].shape == [1, 3, 16, 24]
    assert again.axes is not None
    assert load_model(path, {"x": [1, 3, 8, 8]}).axes is not None


def test_a_value_that_is_gone_leaves_the_size_fixed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = write(tmp_path, ARITHMETIC["flattened and back"], flat_to=[0, 0, -1])
    model = load_model(path, {"x": [1, 3, 8, 8]})
    changed = onnx.ModelProto()
    changed.CopyFrom(model.proto)
    for node in changed.graph.node:
        for names in (node.input, node.output):
            for slot, name in enumerate(names):
                names[slot] = "other" if name == "m" else name
    assert model.reopen(changed) is changed
    assert "fixed sizes: a size depends on m, which is not in it any more" in caplog.text


def test_damaged_sizes(tmp_path: Path):
    proto = parse("y = Relu(x)")
    for text in ("[", "3", '{"x": 3}', '{"x": ["a"]}'):
        onnx.helper.set_model_props(proto, {"decig.input_shapes": text})
        with pytest.raises(BadInputError, match=r"metadata decig\.input_shapes is damaged"):
            analysed_sizes(proto)


def test_a_graph_of_another_opset_gets_its_sizes_in_that(tmp_path: Path):
    """Axes of Unsqueeze and Squeeze became inputs in opset 13."""
    body = ARITHMETIC["one size at a time, the channels written"].replace(", at)", ")")
    body = body.replace("Unsqueeze(", "Unsqueeze<axes=[0]>(")
    constants = {name: CONSTANTS[name] for name in ("zero", "two", "three", "eight")}
    path = write(tmp_path, body, opset=11, **constants)
    model = load_model(path, {"x": [1, 3, 8, 8]})
    lifted = infer_shapes(onnx.version_converter.convert_version(model.proto, 18))
    opened = model.reopen(lifted)
    onnx.checker.check_model(opened, full_check=True)
    feeds = {"x": np.ones((2, 3, 8, 12), np.float32)}
    np.testing.assert_allclose(run(opened, feeds)[0], run(onnx.load(path), feeds)[0], rtol=1e-5)


ATTENTION = """
    s = Shape(m)
    c = Gather(s, one)
    f = Cast<to=1>(c)
    q = Sqrt(f)
    {}
"""
"""The factor of scaled dot-product attention, as PyTorch's older exporter writes it."""


@pytest.mark.parametrize(
    ("used", "left"),
    [
        ("z = Div(m, q)", set()),
        ("i = Reciprocal(q) j = Sqrt(i) z = Mul(m, j)", set()),
        ("h = Gather(s, two) hf = Cast<to=1>(h) r = Mul(q, hf) z = Div(m, r)", {"Shape", "Sqrt"}),
        (
            "h = Gather(s, two) w = Gather(s, three) hw = Mul(h, w) chw = Mul(hw, c)\n"
            "g = Cast<to=1>(chw) z = Div(m, g)",
            {"Shape", "Gather"},
        ),
    ],
)
def test_factors_of_a_channel_count_stay_what_they_were(used, left, tmp_path):
    """Of channels alone they are constants; of sizes too, those are computed and these are not."""
    numbers = {name: NUMBERS[name] for name in ("one", "two", "three")}
    path = write(tmp_path, IN + MID + ATTENTION.format(used) + OUT, **numbers)
    sliced = require_dynamic(path, *SIZES)
    found = {node.op_type for node in sliced.graph.node}
    assert left <= found
    assert left or found.isdisjoint({"Shape", "Gather", "Cast"})


def test_a_channel_count_that_goes_with_the_channels_beside_one_that_does_not(tmp_path):
    """A target of Reshape is cut; the factor beside it, from the same Shape, is not."""
    body = ATTENTION.format(
        "h = Gather(s, two) w = Gather(s, three) n = Gather(s, zero) hw = Mul(h, w)\n"
        "n1 = Unsqueeze(n, at) c1_ = Unsqueeze(c, at) hw1 = Unsqueeze(hw, at)\n"
        "to = Concat<axis=0>(n1, c1_, hw1) t = Reshape(m, to) d = Div(t, q) z = Reshape(d, s)"
    )
    numbers = {name: NUMBERS[name] for name in ("zero", "one", "two", "three")}
    path = write(tmp_path, IN + MID + body + OUT, at=[0], **numbers)
    require_dynamic(path, *SIZES)
