"""Weights that several nodes use stay one initializer, are cut once and counted once."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.graph import rewrite
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import initializers, load_model, normalise, save_model
from decig.graph.sharing import merge_equal, shared
from decig.graph.slicing import slice_graph
from tests.graph.shared_nets import PAD, recursive, siamese
from tests.graph.tiny import keep, parse, reasons, run, tiny, widths, worst_difference


def half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Cut half of every group; checked against the oracle."""
    channels = analyse(proto)
    plan = keep(channels, **{n: list(range(0, size, 2)) for n, size in widths(channels).items()})
    assert worst_difference(proto, channels, plan) < 1e-4
    return slice_graph(proto, channels, plan)


def test_a_block_that_is_run_again_is_one_weight(tmp_path: Path):
    path = tmp_path / "m.onnx"
    onnx.save(recursive(), path)
    model = load_model(path)
    assert count(model.proto).params == 8 * 3 * 9 + 8 * 8 * 9 + 3 * 8 * 9
    assert sorted(initializers(model.proto)) == ["w", "wi", "wo"]
    assert widths(analyse(model.proto)) == {"head": 8}
    sliced = half(model.proto)
    shapes = {name: array.shape for name, array in initializers(sliced).items()}
    assert shapes == {"wi": (4, 3, 3, 3), "w": (4, 4, 3, 3), "wo": (3, 4, 3, 3)}
    save_model(model.reopen(sliced), tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx").stat().st_size < path.stat().st_size
    again = load_model(tmp_path / "half.onnx").proto
    assert count(again).params == 4 * 3 * 9 + 4 * 4 * 9 + 3 * 4 * 9


def test_siamese_encoders_share_all_they_have():
    proto = normalise(siamese())
    assert shared(proto.graph) == {"w1", "b1", "scale", "shift", "w2", "b2", "slope"}
    assert count(proto).params == 3 * 8 + 3 * 8 + 8 * 6 + 2 * 6 + 3 * 6
    assert widths(analyse(proto)) == {"s1": 8, "s2": 6}
    assert shared(half(proto).graph) == shared(proto.graph)


def test_what_is_stored_twice_is_shared_too():
    """Some exporters write a weight once for every use."""
    proto = siamese()
    for node in proto.graph.node:
        if node.name.startswith("t"):
            for slot, name in list(enumerate(node.input))[1:]:
                twin = proto.graph.initializer.add()
                twin.CopyFrom(next(t for t in proto.graph.initializer if t.name == name))
                twin.name = node.input[slot] = f"{name}_again"
    found = normalise(proto)
    assert count(found).params == count(normalise(siamese())).params
    np.testing.assert_array_equal(*(run(each)[0] for each in (found, normalise(siamese()))))


def test_weights_that_are_transposed_for_each_use():
    body = """
        t = Transpose<perm=[0,2,3,1]>(x)
        [head] a = MatMul(t, wi)
        v1 = Transpose(w) [m1] b = MatMul(a, v1) c = Relu(b)
        v2 = Transpose(w) [m2] d = MatMul(c, v2) e = Relu(d)
        [tail] y = MatMul(e, wo)
    """
    proto = tiny(body, wi=(3, 8), w=(8, 8), wo=(8, 3))
    assert count(proto).params == 3 * 8 + 8 * 8 + 8 * 3
    half(proto)


def test_modulated_weights_are_shared():
    """StyleGAN's layers scale the inputs of their weights by a style, and normalise them."""
    one = """
        s{0} = Gemm<transB=1>(style, wa)
        r{0} = Reshape(s{0}, rows)
        m{0} = Mul(w, r{0})
        [conv{0}] c{0} = Conv(f{0}, m{0})
        f{1} = Relu(c{0})
    """
    body = (
        "[head] f0 = Conv(x, wi)" + one.format(0, 1) + one.format(1, 2) + "[out] y = Conv(f2, wo)"
    )
    proto = tiny(
        body,
        inputs="float[1,3,8,8] x, float[1,5] style",
        wi=(8, 3, 1, 1),
        wa=(8, 5),
        w=(8, 8, 1, 1),
        wo=(3, 8, 1, 1),
        rows=[1, 8, 1, 1],
    )
    assert shared(proto.graph) == {"w", "wa"}
    half(proto)


def test_norms_of_their_own_stay_their_own():
    """Each use of the shared weight has another scale: these are no copies."""
    body = f"""
        [head] f0 = Conv(x, wi)
        [b0] c0 = {PAD}(f0, w) n0 = InstanceNormalization(c0, s0, h) f1 = Relu(n0)
        [b1] c1 = {PAD}(f1, w) n1 = InstanceNormalization(c1, s1, h) f2 = Relu(n1)
        [tail] y = Conv(f2, wo)
    """
    proto = tiny(
        body, wi=(8, 3, 1, 1), w=(8, 8, 3, 3), wo=(3, 8, 1, 1), s0=(8,),
        s1=np.arange(8, dtype="f4"), h=np.zeros(8, "f4"),
    )  # fmt: skip
    assert shared(proto.graph) == {"w"}
    half(proto)


@pytest.mark.parametrize("axis", ["outputs", "inputs"])
def test_uses_that_keep_an_axis_keep_it_for_all(axis):
    """One use reads the picture, or makes it: so no channel of that axis can go."""
    if axis == "inputs":
        body = (
            "[one] a = Conv(x, w)\n [two] b = Conv(a, v)\n [three] c = Conv(b, w)\n y = Conv(c, u)"
        )
        shapes = {"w": (8, 3, 1, 1), "v": (3, 8, 1, 1), "u": (3, 8, 1, 1)}
        frozen, free = "two", "one"
    else:
        body = (
            "[one] a = Conv(x, u)\n [two] b = Conv(a, w)\n [three] c = Conv(b, u)\n y = Conv(c, w)"
        )
        shapes = {"u": (8, 3, 1, 1), "w": (3, 8, 1, 1)}
        frozen, free = "two", "one"
    proto = tiny(body, **shapes)
    channels = analyse(proto)
    assert frozen in reasons(channels)
    assert free in widths(channels)
    half(proto)


def test_tied_encoder_and_decoder():
    """A transposed convolution with the weights of the convolution: [M, C] is [C, M] there."""
    body = f"""
        [stem] a = Conv(x, wi)
        [down] b = {PAD}(a, w)
        c = Relu(b)
        [up] d = ConvTranspose<pads=[1,1,1,1]>(c, w)
        [out] y = Conv(d, wo)
    """
    proto = tiny(body, wi=(6, 3, 1, 1), w=(8, 6, 3, 3), wo=(3, 6, 1, 1))
    assert shared(proto.graph) == {"w"}
    assert widths(analyse(proto)) == {"stem": 6, "down": 8}
    half(proto)


def test_groups_and_none():
    """The same numbers as a grouped and as a plain weight."""
    body = "[one] a = Conv(x, wi)\n [g] b = Conv<group=2>(a, w)\n [p] c = Conv(x3, w)\n"
    body += "d = Add(b, c)\n y = Conv(d, wo)"
    proto = tiny(
        body,
        inputs="float[1,3,8,8] x, float[1,4,8,8] x3",
        wi=(8, 3, 1, 1),
        w=(8, 4, 1, 1),
        wo=(3, 8, 1, 1),
    )
    assert shared(proto.graph) == {"w"}
    half(proto)


def test_a_node_that_reads_a_weight_twice():
    body = "[head] a = Conv(x, wi)\n m = Mul(w, w)\n [b] b = Conv(a, m)\n [c] c = Conv(b, w)\n"
    proto = tiny(body + "y = Conv(c, wo)", wi=(8, 3, 1, 1), w=(8, 8, 1, 1), wo=(3, 8, 1, 1))
    half(proto)


def test_fixed_filters_are_no_shared_weights():
    """The same blur behind layers that have as many channels by chance."""
    body = f"""
        [one] a = {PAD}(x, w1)
        b = Conv<group=8, pads=[1,1,1,1]>(a, blur)
        [two] c = {PAD}(b, w2)
        d = Conv<group=8, pads=[1,1,1,1]>(c, blur)
        [out] y = {PAD}(d, w3)
    """
    kernel = np.tile(np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16, (8, 1, 1, 1))
    proto = tiny(body, w1=(8, 3, 3, 3), w2=(8, 8, 3, 3), w3=(3, 8, 3, 3), blur=kernel)
    assert shared(proto.graph) == frozenset()
    assert widths(analyse(proto)) == {"one": 8, "two": 8}


def test_ones_that_exporters_merge_are_no_shared_weights():
    proto = siamese(scale=np.ones(8, np.float32), shift=np.zeros(8, np.float32))
    assert shared(normalise(proto).graph) == {"w1", "b1", "w2", "b2", "slope"}
    half(normalise(proto))


def test_rewritten_alike_they_are_shared_again():
    """Each reader folds the norm that it shares with the others."""
    block = f"[b{{0}}] c{{0}} = {PAD}(f{{0}}, w) n{{0}} = BatchNormalization(c{{0}}, s, h, m, v) "
    block += "f{1} = Relu(n{0})\n"
    body = f"[head] f0 = {PAD}(x, wi)\n" + "".join(block.format(i, i + 1) for i in range(4))
    proto = tiny(
        f"{body}[tail] y = {PAD}(f4, wo)",
        wi=(8, 3, 3, 3),
        w=(8, 8, 3, 3),
        wo=(3, 8, 3, 3),
        s=(8,),
        h=(8,),
        m=(8,),
        v=np.arange(1, 9, dtype=np.float32),
    )
    assert shared(proto.graph) == {"w", "s", "h", "m", "v"}
    folded, applied = rewrite.apply(proto, ["fold_batchnorm"])
    assert len(applied) == 4
    assert count(folded).params == 8 * 3 * 9 + 8 * 8 * 9 + 8 + 3 * 8 * 9
    np.testing.assert_allclose(run(folded)[0], run(proto)[0], atol=1e-3)


@pytest.mark.parametrize("rules", [rewrite.CANONICAL, tuple(rewrite.RULES)])
def test_every_rewrite_leaves_the_other_readers_alone(rules):
    for proto in (normalise(recursive(4)), normalise(siamese())):
        after, _ = rewrite.apply(proto, rules)
        for expected, found in zip(run(proto), run(after), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_equal_weights_are_merged_and_others_stay():
    proto = parse(
        "a = Conv(x, w)\n b = Conv(a, v)\n c = Conv(b, u)\n y = Add(c, k)",
        w=(3, 3, 1, 1),
        v=(3, 3, 1, 1),
        u=(3, 3, 1, 1),
        k=(3, 1, 1),
    )
    arrays = initializers(proto)
    for tensor in proto.graph.initializer:
        if tensor.name == "u":
            tensor.CopyFrom(onnx.numpy_helper.from_array(arrays["w"], "u"))
    merge_equal(proto.graph)
    assert [node.input[1] for node in proto.graph.node] == ["w", "v", "w", "k"]
    assert sorted(initializers(proto)) == ["k", "v", "w"]


@given(st.integers(1, 5), st.lists(st.integers(0, 7), min_size=1, max_size=7, unique=True))
def test_any_cut_of_a_shared_block_is_exact(depth, kept):
    proto = normalise(recursive(depth))
    channels = analyse(proto)
    plan = keep(channels, head=sorted(kept))
    assert worst_difference(proto, channels, plan) < 1e-4
    assert len(initializers(slice_graph(proto, channels, plan))) == 3
