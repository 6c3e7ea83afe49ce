"""Inputs that set sizes: analysed at the values that are declared, and taken again by the file."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import Model, load_model, normalise, output_info, save_model
from decig.graph.size_inputs import analysed_values, value_arrays
from decig.graph.slicing import slice_graph
from tests.graph.tiny import keep, parse, run, widths, worst_difference

LAYERS = "h = Conv<pads=[1,1,1,1]>(r, w)\n k = Relu(h)\n y = Conv<pads=[1,1,1,1]>(k, v)"
WEIGHTS = {"w": (8, 3, 3, 3), "v": (3, 8, 3, 3)}

CASES: dict[str, tuple[str, str, list[float], list[int]]] = {
    "scales": ("float[4] s", 'r = Resize<mode="linear">(x, , s)', [1, 1, 2, 2], [1, 3, 16, 16]),
    "sizes": ("int64[4] s", "r = Resize(x, , , s)", [1, 3, 20, 12], [1, 3, 20, 12]),
    "a ratio": ("float[1] s", "q = Concat<axis=0>(ones, s, s)\n r = Resize(x, , q)", [0.5],
                [1, 3, 4, 4]),
    "a ratio that is a single number": (
        "float s", "i = Reciprocal(s) j = Unsqueeze(i, zero)\n q = Concat<axis=0>(ones, j, j)\n"
        "r = Resize(x, , q)", [0.5], [1, 3, 16, 16]),
    "a height": ("int64[1] s", "z = Concat<axis=0>(one, three, s, s)\n r = Resize(x, , , z)", [24],
                 [1, 3, 24, 24]),
    "how often to repeat": ("int64[4] s", "r = Tile(x, s)", [1, 1, 2, 3], [1, 3, 16, 24]),
    "a border": ("int64[8] s", "r = Pad(x, s)", [0, 0, 1, 2, 0, 0, 1, 2], [1, 3, 10, 12]),
    "a window": ("int64[1] s", "r = Slice(x, zero, s, two)", [4], [1, 3, 4, 8]),
    "the size of a grid": ("int64[1] s", "z = Concat<axis=0>(one, three, s, s)\n"
                           "g = ConstantOfShape(z) m = ReduceMean(x) r = Add(g, m)", [12],
                           [1, 3, 12, 12]),
    "what a mean is stretched to": ("int64[4] s", "m = GlobalAveragePool(x) r = Expand(m, s)",
                                    [1, 3, 9, 9], [1, 3, 9, 9]),
}  # fmt: skip


def sized(name: str) -> onnx.ModelProto:
    given, body, _, _ = CASES[name]
    return parse(
        f"{body}\n{LAYERS}",
        inputs=f"float[1,3,8,8] x, {given}",
        outputs="float[A,B,C,D] y",
        ones=np.ones(2, np.float32),
        one=[1],
        two=[2],
        three=[3],
        zero=[0],
        **WEIGHTS,
    )


def read(name: str, folder: Path, **more: object) -> Model:
    onnx.save(sized(name), folder / "m.onnx")
    return load_model(folder / "m.onnx", values={"s": CASES[name][2]}, **more)


def feeds(model: Model, values: list[float]) -> dict[str, np.ndarray]:
    (like,) = value_arrays(model.proto).values()
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    return {"x": x, "s": np.array(values, like.dtype).reshape(like.shape)}


@pytest.mark.parametrize("name", CASES)
def test_sizes_are_those_of_the_declared_value(name, tmp_path):
    model = read(name, tmp_path)
    _, _, values, size = CASES[name]
    assert output_info(model.proto)[0].shape == size
    assert count(model.proto).macs == 2 * 8 * 3 * 9 * size[2] * size[3]
    assert analysed_values(model.proto) == {"s": values}
    given = feeds(model, values)
    (expected,), (found,) = run(sized(name), given), run(model.proto, given)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_channels_are_cut_as_everywhere(name, tmp_path):
    model = read(name, tmp_path)
    channels = analyse(model.proto)
    (group,) = widths(channels)
    plan = keep(channels, **{group: [0, 2, 3, 7]})
    given = feeds(model, CASES[name][2])
    assert worst_difference(model.proto, channels, plan, given) < 1e-4


OTHER = {
    "scales": [1, 1, 3, 1],
    "sizes": [1, 3, 6, 31],
    "a ratio": [1.5],
    "a ratio that is a single number": [0.25],
    "a height": [40],
    "how often to repeat": [1, 1, 1, 2],
    "a border": [0, 0, 3, 3, 0, 0, 0, 0],
    "a window": [7],
    "the size of a grid": [30],
    "what a mean is stretched to": [1, 3, 5, 21],
}


@pytest.mark.parametrize("name", OTHER)
def test_the_file_takes_the_input_again(name, tmp_path):
    model = read(name, tmp_path)
    channels = analyse(model.proto)
    (group,) = widths(channels)
    plan = keep(channels, **{group: [0, 2, 3, 7]})
    whole = model.reopen(model.proto)
    half = model.reopen(slice_graph(model.proto, channels, plan))
    for values in (CASES[name][2], OTHER[name]):
        given = feeds(model, values)
        (expected,), (same,), (cut,) = run(sized(name), given), run(whole, given), run(half, given)
        np.testing.assert_allclose(same, expected, atol=1e-5)
        assert cut.shape == expected.shape
    save_model(half, tmp_path / "half.onnx")
    again = load_model(tmp_path / "half.onnx")
    assert output_info(again.proto)[0].shape == CASES[name][3]
    moved = load_model(tmp_path / "half.onnx", values={"s": OTHER[name]})
    given = feeds(moved, OTHER[name])
    np.testing.assert_allclose(run(moved.proto, given)[0], run(half, given)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("scales", r"4 numbers, as in --feed s=0\.5,0\.5,0\.5,0\.5"),
        ("a ratio", r"number, as in --feed s=0\.5"),
        ("a height", r"number, as in --feed s=64"),
        ("the size of a grid", r"number, as in --feed s=64"),
        ("a border", r"8 numbers, as in --feed s=64,"),
    ],
)
def test_what_nobody_declares_is_asked_for(name, example):
    with pytest.raises(BadInputError, match=rf"^input s sets sizes inside .*give its {example}"):
        normalise(sized(name))


def test_another_number_of_numbers():
    with pytest.raises(BadInputError, match=r"input s takes 4 numbers, and is declared .* fed 3"):
        normalise(sized("sizes"), values={"s": [3, 20, 12]})


def test_one_number_is_for_all():
    proto = normalise(sized("how often to repeat"), values={"s": [1]})
    assert output_info(proto)[0].shape == [1, 3, 8, 8]


def test_as_many_numbers_as_there_are_give_an_open_input_its_length():
    body = f"r = Resize(x, , , s)\n{LAYERS}"
    inputs = "float[1,3,8,8] x, int64[n] s"
    proto = parse(body, inputs=inputs, outputs="float[A,B,C,D] y", **WEIGHTS)
    found = normalise(proto, values={"s": [1, 3, 10, 12]})
    assert output_info(found)[0].shape == [1, 3, 10, 12]


def test_inputs_that_set_no_size_stay_inputs():
    """A strength scales, a class picks: neither is a constant of the graph."""
    body = f"e = Gather(table, c)\n f = Mul(e, s)\n r = Add(x, f)\n{LAYERS}"
    inputs = "float[1,3,8,8] x, float[1] s, int64[1] c"
    proto = parse(body, inputs=inputs, table=(5, 3, 1, 1), **WEIGHTS)
    model = normalise(proto, values={"s": [0.5], "c": [2]})
    assert analysed_values(model) == {}
    assert [node.op_type for node in model.graph.node][:3] == ["Gather", "Mul", "Add"]


def test_a_shape_that_is_read_is_no_value_that_is():
    body = f"z = Shape(s)\n r = Expand(x, z)\n{LAYERS}"
    proto = parse(body, inputs="float[1,3,8,8] x, float[1,1,1,8] s", **WEIGHTS)
    assert analysed_values(normalise(proto)) == {}


def test_a_position_that_nobody_declares_is_zero_as_before():
    model = normalise(sized("a window"))
    assert analysed_values(model) == {}


def test_a_branch_that_the_value_takes():
    then = parse("t = Identity(x)", inputs="float[1] none", outputs="float[1,3,8,8] t").graph
    small = parse("t = Resize(x, , q)", inputs="float[1] none", outputs="float[1,3,4,4] t").graph
    del then.input[:], small.input[:]
    proto = parse(
        f"q = Concat<axis=0>(ones, s, s)\n c = Equal(s, whole)\n r = Relu(x)\n{LAYERS}",
        inputs="float[1,3,8,8] x, float[1] s",
        ones=np.ones(2, np.float32),
        whole=np.ones(1, np.float32),
        outputs="float[A,B,C,D] y",
        **WEIGHTS,
    )
    place = next(i for i, node in enumerate(proto.graph.node) if node.op_type == "Relu")
    branch = onnx.helper.make_node("If", ["c"], ["r"], then_branch=then, else_branch=small)
    proto.graph.node[place].CopyFrom(branch)
    assert output_info(normalise(proto, values={"s": [1]}))[0].shape == [1, 3, 8, 8]
    assert output_info(normalise(proto, values={"s": [0.5]}))[0].shape == [1, 3, 4, 4]


def test_damaged_metadata_is_named():
    proto = sized("sizes")
    onnx.helper.set_model_props(proto, {"decig.input_values": '{"s": "much"}'})
    with pytest.raises(BadInputError, match=r"metadata decig\.input_values is damaged"):
        normalise(proto)
