"""The trainable module against ONNX Runtime before a run starts: what differs is named."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from decig.errors import BadInputError, DecigError
from decig.graph.model import normalise
from decig.training.compression.student import teacher_pool
from decig.training.loop.processes import Processes
from decig.training.ops import registry
from decig.training.ops.node import OpNode
from decig.training.trainable.module import build_module
from decig.training.trainable.parity import keeps_images_apart, require_parity
from tests.training.onnx_cases import parsed
from tests.training.small import small
from tests.training.tiny import tiny_generator

RNG = np.random.default_rng(0)


def r(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


def long_graph(last: str = "Tanh(l)") -> onnx.ModelProto:
    """More values than are compared at once, with one Selu near the end."""
    lines = ["a0 = Conv(x, w)"]
    lines += [f"a{i + 1} = Sin(a{i})" for i in range(20)]
    lines += ["[scaled] k = Selu(a20)", "l = Conv(k, v)", f"y = {last}"]
    return parsed("\n".join(lines), (1, 3, 8, 8), w=r(6, 3, 1, 1), v=r(3, 6, 1, 1))


@pytest.fixture
def wrong_selu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the module take Selu for Elu: 5 % off."""

    def elu(node: OpNode) -> torch.fx.Node:
        return node.emit(torch.nn.functional.elu, node.tensor(0))

    monkeypatch.setitem(registry.OPERATORS, "Selu", elu)
    yield


def test_a_module_that_computes_the_same_passes_and_keeps_its_mode() -> None:
    proto = long_graph()
    module = build_module(proto).train()
    require_parity(module, proto, {"x": r(1, 3, 8, 8)})
    assert module.training


@pytest.mark.usefixtures("wrong_selu")
def test_the_first_node_that_differs_is_named() -> None:
    proto = long_graph()
    wanted = (
        r"differs from ONNX Runtime by .* first result that differs is that of node scaled \(Selu"
    )
    with pytest.raises(DecigError, match=wanted) as caught:
        require_parity(build_module(proto), proto, {"x": r(1, 3, 8, 8)})
    assert "\n" not in str(caught.value)
    before = build_module(proto, ["a20"])
    require_parity(before, proto, {"x": r(1, 3, 8, 8)}, ["a20"])


def test_a_saturated_picture_may_differ_by_the_steps_of_its_format() -> None:
    proto = parsed("a = Mul(x, k) b = Add(a, l) y = Sigmoid(b)", (1, 3, 8, 8),
                   k=np.float32(0.01), l=np.float32(15))  # fmt: skip
    require_parity(build_module(proto), proto, {"x": r(1, 3, 8, 8)})


def test_rounding_that_decides_is_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One convolution meets two in a row that compute the same: the last bits say which wins."""

    def almost(node: OpNode) -> torch.fx.Node:
        """Round otherwise than ONNX Runtime, whatever kernels this processor has."""
        return node.emit(torch.mul, node.tensor(0), 1 + 1e-6)

    monkeypatch.setitem(registry.OPERATORS, "Identity", almost)
    text = """
        a = Conv(x, w)
        b = Conv(a, v)
        i = Conv(x, vw)
        c = Identity(i)
        d = Unsqueeze(b, first)
        e = Unsqueeze(c, first)
        f = Concat <axis = 0> (d, e)
        [choice] g = ArgMax <axis = 0, keepdims = 0> (f)
        h = Cast <to = 1> (g)
        y = Add(b, h)
    """
    w, v = r(6, 3, 1, 1), r(6, 6, 1, 1)
    both = np.einsum("ab,bc->ac", v[..., 0, 0], w[..., 0, 0])[..., None, None]
    proto = parsed(text, (1, 3, 32, 32), w=w, v=v, vw=both, first=np.array([0]))
    module = build_module(proto)
    with caplog.at_level(logging.WARNING, "decig"):
        require_parity(module, proto, {"x": r(1, 3, 32, 32)})
    assert "rounding decides what node choice (ArgMax) returns" in caplog.text


@pytest.mark.parametrize(("op_type", "sign", "what"), [("Log", -1, "NaN"), ("Exp", 1, "infinity")])
def test_values_that_are_no_numbers_are_traced_to_their_node(
    op_type: str, sign: int, what: str
) -> None:
    proto = parsed(
        f"a = Conv(x, w) m = Abs(a) n = Mul(m, k) o = Add(n, k)\n [broken] b = {op_type}(o)\n"
        "c = Abs(b)\n y = Add(c, a)",
        (1, 3, 8, 8),
        w=r(6, 3, 1, 1),
        k=np.float32(1000 * sign),
    )
    wanted = rf"node broken \({op_type}\) computes {what} from the first training input"
    with pytest.raises(BadInputError, match=wanted):
        require_parity(build_module(proto), proto, {"x": r(1, 3, 8, 8)})


def test_a_mask_of_infinities_is_fine() -> None:
    proto = parsed(
        "a = Conv(x, w) b = Add(a, mask) y = Softmax(b)",
        (1, 3, 8, 8),
        w=r(6, 3, 1, 1),
        mask=np.where(np.eye(8) > 0, 0, -np.inf).astype(np.float32),
    )
    require_parity(build_module(proto), proto, {"x": r(1, 3, 8, 8)})


@pytest.mark.usefixtures("wrong_selu")
def test_a_run_does_not_start_with_a_module_that_differs(tmp_path: Path) -> None:
    proto = tiny_generator(size=48, width=16)
    (tmp_path / "right").mkdir()
    small(tmp_path / "right", proto).job()
    for node in proto.graph.node:
        node.op_type = "Selu" if node.op_type == "Relu" else node.op_type
    with pytest.raises(
        DecigError, match=r"cannot be trained: .* is that of node n1\.relu \(Selu\)"
    ):
        small(tmp_path, proto).job()


APART = {
    "a = Relu(x) y = Conv(a, w)": True,
    "a = GlobalAveragePool(x) b = Mul(x, a) y = Conv(b, w)": True,
    "l = ReduceMin<keepdims=0>(x) a = Sub(x, l) y = Conv(a, w)": False,
    "f = Reshape(x, flat) l = ReduceMax<keepdims=0>(f) a = Sub(x, l) y = Conv(a, w)": False,
    "a = ReduceMean<keepdims=1>(x, first) b = Sub(x, a) y = Conv(b, w)": False,
}


@pytest.mark.parametrize(("body", "apart"), APART.items(), ids=range(len(APART)))
def test_graphs_that_mix_the_images_of_a_batch_are_told(body: str, apart: bool) -> None:
    constants = {"w": r(3, 3, 1, 1), "flat": [-1], "first": [0]}
    used = {name: value for name, value in constants.items() if name in body}
    proto = parsed(body, (1, 3, 8, 8), opset=18, **used)
    batch = torch.from_numpy(r(3, 3, 8, 8))
    assert keeps_images_apart(build_module(proto).eval(), [batch]) is apart


def test_images_are_compared_without_the_rounding_of_tf32() -> None:
    allowed = []

    class Watched(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            allowed.append(torch.backends.cudnn.allow_tf32)
            return (x,)

    before = torch.backends.cudnn.allow_tf32
    assert keeps_images_apart(Watched(), [torch.rand(2, 3, 4, 4)])
    assert allowed and not any(allowed)
    assert torch.backends.cudnn.allow_tf32 is before


def test_all_processes_take_as_many_images_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks at images of its own; the main process's answer counts."""
    job = small(tmp_path).job()
    monkeypatch.setattr(Processes, "from_main", lambda self, value: False)
    assert len(teacher_pool(job, seed=0).batch(0).teacher) == 1


def test_students_of_such_graphs_learn_from_one_image_at_a_time(tmp_path: Path, caplog) -> None:
    proto = tiny_generator(size=48, width=16)
    nodes = list(proto.graph.node)
    place = next(index for index, node in enumerate(nodes) if node.output[0] == "sum")
    least = helper.make_node("ReduceMin", ["sum"], ["least"], "least", keepdims=0)
    nodes[place + 1].input[0] = "above"
    del proto.graph.node[:], proto.graph.value_info[:]
    above = helper.make_node("Sub", ["sum", "least"], ["above"], "above")
    proto.graph.node.extend([*nodes[: place + 1], least, above, *nodes[place + 1 :]])
    made = small(tmp_path, normalise(proto), settings={"condense": 0.0})
    assert len(teacher_pool(made.job(), seed=0).batch(0).teacher) == 1
    assert "made for 1 images at a time" in caplog.text
    (tmp_path / "plain").mkdir()
    plain = small(tmp_path / "plain", settings={"condense": 0.0})
    assert len(teacher_pool(plain.job(), seed=0).batch(0).teacher) > 1
