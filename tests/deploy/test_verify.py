import numpy as np
import onnx
import pytest

from decig.data.inputs import seeded_feeds
from decig.data.pixels import PixelFormat
from decig.deploy.convert import to_fp16
from decig.deploy.cutter import Cutter
from decig.deploy.verify import (
    GREY_LEVELS,
    TOLERANCE,
    before_saturation,
    difference_elsewhere,
    exact_runner,
    graph_difference,
    grey_levels,
    noise_feeds,
    relative_difference,
    require_same,
    require_same_pixels,
    runner,
    tolerance_of,
    torch_runner,
)
from decig.errors import BadInputError, DecigError
from decig.graph.model import initializers, load_model, normalise, replace_initializers
from decig.graph.slicing import slice_graph
from decig.source.resolve import resolve
from tests.graph.tiny import parse, tiny
from tests.samples import generator, write_dynamic_generator, write_generator
from tests.threads import FREE, watch_threads


def changed(by: float):
    proto = normalise(generator())
    weight = initializers(proto)["conv2.weight"]
    replace_initializers(proto, {"conv2.weight": weight + np.float32(by)})
    return proto


def test_a_graph_agrees_with_itself_at_any_optimisation():
    proto = normalise(generator())
    feeds = seeded_feeds(proto, None)
    assert relative_difference(runner(proto), runner(proto, None, "all"), feeds) < 1e-5


def test_a_difference_is_seen_and_refused():
    feeds = seeded_feeds(generator(), None)
    found = relative_difference(runner(changed(0)), runner(changed(0.01)), feeds)
    assert found > 1e-4
    with pytest.raises(DecigError, match=r"this: outputs differ by .* of their range"):
        require_same(found, "this")


def test_graphs_are_compared_on_the_threads_that_are_free(monkeypatch):
    opened = watch_threads(monkeypatch)
    graph_difference(changed(0), changed(0), seeded_feeds(generator(), None))
    assert opened == [FREE, FREE]


def test_the_range_is_that_over_all_inputs():
    """An output that hardly moves on one input is measured by how far it moves on another."""
    wanted = iter([np.array([0, 1e-6]), np.array([0, 10.0])])
    found = iter([np.array([0, 2e-6]), np.array([0, 10.0])])
    difference = relative_difference(lambda _: [next(wanted)], lambda _: [next(found)], [{}, {}])
    assert difference == pytest.approx(1e-7)


def test_another_size_is_compared_where_axes_are_dynamic(tmp_path, caplog):
    caplog.set_level("INFO")
    path = write_dynamic_generator(tmp_path / "model.onnx")
    model = load_model(path, {"image": [1, 3, 24, 24]})
    same, other = (model.reopen(changed(by)) for by in (0, 0.01))
    assert difference_elsewhere(model, same, same, None) == 0
    assert difference_elsewhere(model, same, other, None) > 1e-4
    assert "compared at image 2x3x48x48 too" in caplog.text


def test_a_model_of_one_size_is_not_compared_elsewhere(tmp_path, caplog):
    caplog.set_level("INFO")
    static = load_model(write_generator(tmp_path / "static.onnx"))
    assert difference_elsewhere(static, changed(0), changed(1), None) == 0
    # It claims to be dynamic, but its Reshape says otherwise.
    path = tmp_path / "claims.onnx"
    body = "a = Reshape(x, to)\n y = Relu(a)"
    proto = parse(body, inputs="float[N,3,8,8] x", outputs="float[A,B,C] y", to=[1, 24, 8])
    path.write_bytes(proto.SerializeToString())
    claims = load_model(path)
    opened = claims.reopen(claims.proto)
    assert difference_elsewhere(claims, opened, opened, None) == 0
    assert "compared at one size only; at another, ONNX Runtime cannot run" in caplog.text


@pytest.mark.parametrize("difference", ["nan", "inf"])
def test_what_is_no_number_is_refused(difference):
    with pytest.raises(DecigError, match=f"this: outputs differ by {difference} of"):
        require_same(float(difference), "this")


def test_the_worst_picture_says_how_many_grey_levels_differ():
    images = [np.full((1, 4, 4, 3), level, np.uint8) for level in (10, 200, 30)]
    found = {10: 11, 200: 190, 30: 32}

    def other(image: np.ndarray) -> np.ndarray:
        return np.full_like(image, found[int(image.flat[0])])

    assert grey_levels(lambda image: image, other, images) == 10
    assert grey_levels(other, lambda image: image, images) == 10


def test_a_grey_level_more_than_rounding_is_refused():
    require_same_pixels(GREY_LEVELS, "this")
    with pytest.raises(DecigError, match=f"this: pictures differ by {GREY_LEVELS + 1} grey levels"):
        require_same_pixels(GREY_LEVELS + 1, "this")


def test_half_precision_may_differ_by_more():
    assert tolerance_of(generator()) == TOLERANCE
    assert tolerance_of(to_fp16(generator())) == 50 * TOLERANCE


@pytest.mark.train
def test_the_trained_module_agrees():
    proto = normalise(generator())
    feeds = seeded_feeds(proto, None)
    require_same(relative_difference(torch_runner(proto), runner(proto), feeds), "module")


def test_what_the_reference_cannot_run_is_judged_in_float32(monkeypatch):
    """Here the original is the candidate times 1.001."""

    def refuse(proto):
        raise NotImplementedError

    proto, other = generator(), generator()
    weight = initializers(other)["head.weight"]
    replace_initializers(other, {"head.weight": weight * np.float32(1.001)})
    feeds = seeded_feeds(proto, None)
    exact = graph_difference(proto, other, feeds)
    monkeypatch.setattr("decig.deploy.verify.exact_runner", refuse)
    rounded = graph_difference(proto, other, feeds)
    assert 1e-4 < exact == pytest.approx(rounded, rel=0.01)


def test_double_precision_is_what_it_says():
    proto = generator()
    feeds = seeded_feeds(proto, None)[0]
    (exact,), (rounded,) = exact_runner(proto)(feeds), runner(proto)(feeds)
    assert exact.dtype == np.float64
    assert 0 < np.abs(exact - rounded).max() < 1e-6


@pytest.mark.parametrize(("factor", "passes"), [(1.0, True), (1.0003, False)])
def test_rounding_is_told_from_a_wrong_weight_in_double_precision(factor, passes):
    """x 30,000 + x - x 30,000 loses nearly all of x in float32, and is x all the same."""
    loses = normalise(
        parse(
            "a = Mul(x, big)  b = Add(a, x)  y = Sub(b, a)",
            inputs="float[1,3,8,8] x",
            outputs="float[1,3,8,8] y",
            big=np.float32(3e4),
        )
    )
    plain = normalise(
        parse(
            "y = Mul(x, by)",
            inputs="float[1,3,8,8] x",
            outputs="float[1,3,8,8] y",
            by=np.float32(factor),
        )
    )
    feeds = seeded_feeds(plain, None)
    assert relative_difference(runner(loses), runner(plain), feeds) > TOLERANCE
    assert (graph_difference(loses, plain, feeds) <= TOLERANCE) is passes


ROOT = "a = Mul(x, x)\n b = Sub(x, a)\n [root] y = Sqrt(b)"
"""Numbers between 0 and 1, NaN everywhere else."""


def test_graphs_that_compute_no_numbers_prove_nothing():
    proto = normalise(generator())
    replace_initializers(proto, {"norm1.var": -np.ones(8, np.float32)})
    feeds = seeded_feeds(proto, None)
    wanted = r"^node norm1 \(BatchNormalization\) computes NaN"
    with pytest.raises(BadInputError, match=wanted):
        relative_difference(runner(proto), runner(proto), feeds)
    with pytest.raises(BadInputError, match=wanted):
        relative_difference(torch_runner(proto), runner(proto), feeds)
    with pytest.raises(BadInputError, match=wanted):
        graph_difference(proto, proto, feeds)
    with pytest.raises(DecigError, match=r"where the original computes numbers, node norm1"):
        relative_difference(runner(changed(0)), runner(proto), feeds)


def test_noise_that_the_model_cannot_take_is_left_out_where_its_range_is_not_known():
    proto = tiny(ROOT)
    unit, *_ = seeded_feeds(proto, None)
    (given,) = noise_feeds(proto, None)
    assert np.array_equal(given["x"], unit["x"])
    wide = PixelFormat((-1.0, 1.0), (0.0, 1.0), "nchw", "rgb")
    with pytest.raises(BadInputError, match=r"node root \(Sqrt\) computes NaN: .*--input-range"):
        noise_feeds(proto, wide)
    never = tiny("a = Abs(x)\n b = Neg(a)\n [root] y = Sqrt(b)")
    with pytest.raises(BadInputError, match=r"node root \(Sqrt\) computes NaN"):
        noise_feeds(never, None)


def test_no_numbers_at_another_size_are_no_reason_to_look_away(tmp_path):
    body = "h = Shape <start = 2, end = 3> (x) f = Cast <to = 1> (h) d = Sub(limit, f)\n"
    text = body + "[root] q = Sqrt(d)\n y = Mul(x, q)"
    proto = parse(
        text, inputs="float[1,3,H,W] x", outputs="float[1,3,H,W] y", limit=np.float32([30])
    )
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    model = load_model(tmp_path / "m.onnx", {"x": [1, 3, 24, 24]})
    opened = model.reopen(model.proto)
    with pytest.raises(BadInputError, match="computes NaN"):
        difference_elsewhere(model, opened, opened, None)


@pytest.mark.parametrize(
    "end",
    [
        "y = Tanh(b)",
        "t = Sigmoid(b)\n y = Mul(t, by)",
        "t = Clip(b, low, high)\n y = Transpose<perm=[0,1,3,2]>(t)",
        "s = Tanh(b)\n t = Clip(s, low, high)\n y = Add(t, by)",
    ],
)
def test_what_is_saturated_is_compared_before_it_is(end):
    """All pixels are white, whatever the weights are."""

    def graph(by):
        return normalise(
            parse(
                f"a = Conv(x, w)\n b = Add(a, far)\n {end}",
                inputs="float[1,3,8,8] x",
                outputs="float[1,3,8,8] y",
                w=np.full((3, 3, 1, 1), by, np.float32),
                far=np.float32(90),
                by=np.float32(0.5),
                low=np.float32(-1),
                high=np.float32(1),
            )
        )

    feeds = seeded_feeds(graph(1), None)[:1]
    assert relative_difference(runner(graph(1)), runner(graph(1.5)), feeds) == 0
    assert graph_difference(graph(1), graph(1.5), feeds) > 0.1
    assert graph_difference(graph(1), graph(1), feeds) == 0


def test_only_values_of_one_shape_are_compared_before_they_saturate():
    def graph(body):
        picks = {"zero": [0, 0], "three": [1, 3], "one": [0, 1]}
        return normalise(
            parse(body, inputs="float[1,3,8,8] x", outputs="float[1,3,8,8] y", **picks)
        )

    early = graph("a = Relu(x)\n b = Transpose<perm=[0,1,3,2]>(a)\n y = Tanh(b)")
    wide = graph("a = Concat<axis=1>(x, x)\n b = Tanh(a)\n y = Slice(b, zero, three, one)")
    plain = graph("y = Relu(x)")
    assert [len(proto.graph.output) for proto in before_saturation(early, early)] == [2, 2]
    for other in (wide, plain):
        assert before_saturation(early, other) == (early, other)
    assert [value.name for value in early.graph.output] == ["y"]
    feeds = seeded_feeds(plain, None)
    assert graph_difference(early, early, feeds) == 0


def test_a_slice_that_differs_where_nobody_sees_it_is_refused(tmp_path, monkeypatch):
    """The proof of `slice --verify` on a model whose pictures are all white."""
    proto = generator()
    replace_initializers(proto, {"head.bias": np.full(3, 100, np.float32)})
    onnx.save(proto, tmp_path / "white.onnx")
    source = resolve(str(tmp_path / "white.onnx"))

    def spoilt(*arguments):
        sliced = slice_graph(*arguments)
        weight = initializers(sliced)["head.weight"]
        replace_initializers(sliced, {"head.weight": weight * np.float32(1.5)})
        return sliced

    cutter = Cutter(source)
    assert cutter.cut(cutter.keep(0.5), verify=True).max_abs_diff <= TOLERANCE
    monkeypatch.setattr("decig.deploy.cutter.slice_graph", spoilt)
    with pytest.raises(DecigError, match="sliced graph and masked original: outputs differ"):
        cutter.cut(cutter.keep(0.5), verify=True)
