"""Sequences are unrolled: the same picture, and channels that can be cut."""

import numpy as np
import onnx
import pytest

from decig.graph.channels import analyse
from decig.graph.model import normalise
from decig.graph.sequences import unroll_sequences
from tests.graph.tiny import keep, parse, run, tiny, widths, worst_difference

BODY = """
    [c1] a = Conv(x, w1)
    s = SplitToSequence<axis=1>(a, sizes)
    p = SequenceAt(s, first)
    q = SequenceAt(s, last)
    {join}
    [c2] y = Conv(b, w2)
"""
PLACES = {"first": np.int64(0), "last": np.int64(-1)}


def kinds(proto: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in proto.graph.node} - {"Identity"}


@pytest.mark.parametrize("opset", [11, 12, 13, 20])
@pytest.mark.parametrize("sizes", [np.int64(3), [3, 3]])
def test_a_chunk_is_a_split(sizes: object, opset: int):
    constants = {"sizes": sizes, "w1": (6, 3, 1, 1), "w2": (3, 3, 1, 1), **PLACES}
    raw = parse(BODY.format(join="b = Mul(p, q)"), opset=opset, **constants)
    proto = normalise(raw)
    assert [node.op_type for node in proto.graph.node] == ["Conv", "Split", "Mul", "Conv"]
    assert np.allclose(run(proto)[0], run(raw)[0], atol=1e-6)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2])) < 1e-5


def test_a_part_that_is_taken_twice_and_returned():
    body = BODY.format(join="b = Mul(p, q)").replace("(s, last)", "(s, first)")
    constants = {"sizes": [3, 3], "w1": (6, 3, 1, 1), "w2": (3, 3, 1, 1), "first": np.int64([0])}
    raw = parse(body, outputs="float[N,C,H,W] y, float[N,C,H,W] p", **constants)
    proto = normalise(raw)
    assert kinds(proto) == {"Conv", "Split", "Mul"}
    for found, wanted in zip(run(proto), run(parse(body, **constants)), strict=False):
        assert np.allclose(found, wanted, atol=1e-6)
    assert [value.name for value in proto.graph.output] == ["y", "p"]


def test_a_list_that_is_joined_again_is_a_concat():
    body = """
        [c1] a = Conv(x, w1)
        s = SequenceConstruct(a, x)
        b = ConcatFromSequence<axis=1>(s)
        [c2] y = Conv(b, w2)
    """
    raw = parse(body, w1=(6, 3, 1, 1), w2=(3, 9, 1, 1))
    proto = normalise(raw)
    assert kinds(proto) == {"Conv", "Concat"}
    assert np.allclose(run(proto)[0], run(raw)[0], atol=1e-6)


def test_what_is_read_at_a_computed_place_is_left_alone():
    body = BODY.format(join="b = Mul(p, p)").replace("first)", "z)")
    proto = tiny(
        body,
        inputs="float[1,3,8,8] x, int64 z",
        sizes=[3, 3],
        w1=(6, 3, 1, 1),
        w2=(3, 3, 1, 1),
        **PLACES,
    )
    assert "SequenceAt" in kinds(proto)
    assert not unroll_sequences(proto)
    assert analyse(proto).prunable == []


def test_a_sequence_whose_length_is_asked_for_is_split_once():
    body = """
        s = SplitToSequence<axis=1>(x, sizes)
        first = SequenceAt(s, place)
        n = SequenceLength(s)
        m = Cast<to=1>(n)
        y = Add(first, m)
    """
    raw = parse(body, sizes=[1, 2], place=np.int64(0))
    proto = normalise(raw)
    onnx.checker.check_model(proto)
    found = [node.op_type for node in proto.graph.node]
    assert (found.count("Split"), found.count("SplitToSequence")) == (1, 1)
    assert np.array_equal(run(proto)[0], run(raw)[0])
