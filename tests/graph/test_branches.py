"""Branches that a constant or a size decides."""

import numpy as np
import onnx
import pytest

from decig.graph.branches import take_branches
from decig.graph.channels import analyse
from decig.graph.model import load_model, normalise
from tests.graph.test_axes import require_dynamic
from tests.graph.tiny import parse, run

IMAGE = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
CHOICE = """
    y = If(flag) <
        then_branch = t () => (float[N,C,H,W] a) { b = Relu(x)  a = Mul(b, two) },
        else_branch = e () => (float[N,C,H,W] a) { b = Neg(x)  a = Add(b, two) }
    >
"""


def operators(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


@pytest.mark.parametrize("flag", [True, False])
def test_a_known_condition(flag: bool):
    proto = parse(CHOICE, flag=np.array(flag), two=np.float32(2))
    wanted = run(proto, {"x": IMAGE})[0]
    take_branches(proto.graph, {"flag": flag})
    assert operators(proto)[:2] == (["Relu", "Mul"] if flag else ["Neg", "Add"])
    onnx.checker.check_model(proto)
    np.testing.assert_array_equal(run(proto, {"x": IMAGE})[0], wanted)


def test_an_unknown_condition_stays():
    proto = parse(CHOICE, inputs="float[1,3,8,8] x, bool flag", two=np.float32(2))
    take_branches(proto.graph, {})
    assert operators(proto) == ["If"]
    assert operators(normalise(proto)) == ["If"]


def test_two_ifs_one_in_the_other():
    inner = CHOICE.replace("y = If", "c = If").replace("b = ", "d = ").replace("(b", "(d")
    body = f"""
        z = If(flag) <
            then_branch = t () => (float[N,C,H,W] c) {{ {inner} }},
            else_branch = e () => (float[N,C,H,W] c) {{ c = Neg(x) }}
        >
        {CHOICE.replace("(x)", "(z)")}
    """
    proto = parse(body, flag=np.array(True), two=np.float32(2))
    wanted = run(proto, {"x": IMAGE})[0]
    fresh = normalise(proto)
    assert operators(fresh) == ["Relu", "Mul", "Identity", "Identity", "Relu", "Mul", "Identity"]
    np.testing.assert_array_equal(run(fresh, {"x": IMAGE})[0], wanted)


def test_a_size_that_decides_is_computed_again(tmp_path):
    """An exporter's squeeze: the branch depends on one size, and computes others."""
    body = """
        [c1] a = Conv(x, w1)
        [c2] m = Conv(a, w2)
        s = Shape(m)
        n = Gather(s, zero)
        single = Equal(n, one)
        z = If(single) <
            then_branch = t () => (float[N,C,H,W] r) {
                u = Shape(m)
                flat = Reshape(m, flat_to)
                f = Relu(flat)
                r = Reshape(f, u)
            },
            else_branch = e () => (float[N,C,H,W] r) { r = Identity(m) }
        >
        [c3] y = Conv(z, w3)
    """
    weights = {"w1": (8, 3, 1, 1), "w2": (8, 8, 1, 1), "w3": (3, 8, 1, 1)}
    constants = {"zero": np.int64(0), "one": np.int64(1), "flat_to": [0, 0, -1]}
    path = tmp_path / "squeeze.onnx"
    proto = parse(body, inputs="float[N,3,H,W] x", **weights, **constants)
    path.write_bytes(proto.SerializeToString())
    static = load_model(path, {"x": [1, 3, 8, 8]}).proto
    assert len(analyse(static).prunable) == 2
    require_dynamic(path, [1, 3, 8, 8], [1, 3, 6, 20])
