"""Every operator against ONNX Runtime, on one-node graphs."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnx_cases import assert_parity, one_node, run_ort  # noqa: E402
from op_case import IMAGE, ints, x  # noqa: E402
from op_cases import ALL  # noqa: E402

from decig.errors import BadInputError  # noqa: E402
from decig.graph import rules  # noqa: E402
from decig.train.module import build_module  # noqa: E402
from decig.train.ops import registry  # noqa: E402
from decig.train.ops.layout import blocks_to_space, space_to_blocks, take  # noqa: E402
from decig.train.ops.normalisation import batch_norm, instance_norm  # noqa: E402
from decig.train.ops.resize import resample  # noqa: E402
from decig.train.ops.windows import pad_same  # noqa: E402


@pytest.mark.parametrize(
    ("op_type", "inputs", "arguments"),
    ALL,
)
def test_forward_agrees_with_onnx_runtime(op_type, inputs, arguments):
    assert_parity(one_node(op_type, *inputs, **arguments), *inputs)


STEP = np.float32(1e-3)
JUMPS = """
    ArgMax ArgMin Cast CastLike Ceil Floor Hardmax Mod Round Shrink Sign ThresholdedRelu
""".split()  # noqa: SIM905
SMOOTH = [case for case in ALL if case.values[0] not in JUMPS]


@pytest.mark.parametrize(("op_type", "inputs", "arguments"), SMOOTH)
def test_gradients_agree_with_differences_of_onnx_runtime(op_type, inputs, arguments):
    """Move all inputs along one direction, both in ONNX Runtime and by the module's gradient."""
    proto = one_node(op_type, *inputs, **arguments)
    tensors = [torch.from_numpy(array.copy()) for array in inputs]
    live = [tensor.requires_grad_() for tensor in tensors if tensor.is_floating_point()]
    found = build_module(proto).eval()(*tensors)[0]
    if not live or not found.requires_grad:
        return  # whole numbers, comparisons, constants
    random = np.random.default_rng(0)
    weights = random.standard_normal(found.shape, dtype=np.float32)
    moves = {
        slot: random.standard_normal(array.shape, dtype=np.float32)
        for slot, array in enumerate(inputs)
        if array.dtype == np.float32
    }
    gradients = torch.autograd.grad((found * torch.from_numpy(weights)).sum(), live)
    slopes = [g.numpy() * move for g, move in zip(gradients, moves.values(), strict=True)]
    high, low = (
        run_ort(
            proto, *(a + STEP * sign * moves[i] if i in moves else a for i, a in enumerate(inputs))
        )[0]
        for sign in (1, -1)
    )
    difference = float(((high.astype(np.float64) - low) * weights).sum()) / (2 * STEP)
    scale = float(sum(np.abs(slope).sum() for slope in slopes))
    assert abs(float(sum(slope.sum() for slope in slopes)) - difference) <= 0.02 * scale + 1e-3


def test_whatever_can_be_cut_can_be_trained():
    """Apart from Einsum, which the channel analysis leaves alone."""
    assert set(registry._OPERATORS) - set(rules.registry._RULES) == {"Einsum"}
    assert set(rules.registry._RULES) <= set(registry._OPERATORS)


DOUBLE = {"dtype": torch.float64, "requires_grad": True}
OWN = {
    "batch_norm": lambda x: batch_norm(
        x, torch.zeros(4).double(), torch.ones(4).double(), x[0, :, 0, 0], x[1, :, 0, 0],
        True, 0.9, 1e-5),
    "blocks_to_space": lambda x: blocks_to_space(x, 2),
    "space_to_blocks": lambda x: space_to_blocks(x, 2),
    "take": lambda x: take(x, torch.tensor([[1, -1], [1, 0]]), 1),
    "nearest": lambda x: resample(x, 2, 1.7, None, "half_pixel", "round_prefer_floor"),
    "linear": lambda x: resample(x, 3, 1.7, None, "asymmetric", None),
    "pad_same": lambda x: pad_same(x, (3, 3), (2, 2), False, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_gradients_of_own_functions(name):
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(OWN[name], torch.randn(2, 4, 4, 6, **DOUBLE))


REFUSED = [
    ("Conv", (x(1, 2, 3, 3, 3, 3),), {"constants": {1: x(2, 2, 1, 1, 1, 1)}}, "4 spatial axes"),
    ("MaxPool", (x(*IMAGE),), {"kernel_shape": [2, 2], "outputs": 2}, "indices"),
    ("Pad", (x(*IMAGE),), {"constants": {1: ints([0, 1, 0, 0] * 2)}, "mode": "reflect"}, "spatial"),
    ("Resize", (x(*IMAGE),), {"constants": {2: np.float32([1, 1, 0.5, 0.5])}, "antialias": 1,
                              "mode": "linear"}, "antialias"),
    ("Reshape", (x(*IMAGE), ints([2, 432])), {}, "in1 must be a constant"),
    ("CumSum", (x(*IMAGE),), {"constants": {1: ints(1)}, "reverse": 1}, "reverse"),
]  # fmt: skip


@pytest.mark.parametrize(("op_type", "inputs", "arguments", "message"), REFUSED)
def test_what_is_not_supported_is_refused_with_its_node(op_type, inputs, arguments, message):
    proto = one_node(op_type, *inputs, **arguments)
    with pytest.raises(BadInputError, match=f"node the_node .*{message}"):
        build_module(proto)


NORMS = {
    "batch": lambda x, w: batch_norm(x, torch.zeros(16), torch.ones(16), w, w, True, 0.9, 1e-5),
    "instance": lambda x, w: instance_norm(x, w, w, 1e-5),
    "group": lambda x, w: torch.nn.functional.group_norm(x, 4, w, w),
    "layer": lambda x, w: torch.nn.functional.layer_norm(x, x.shape[1:]),
}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("norm", NORMS)
def test_gradients_of_norms_do_not_depend_on_the_order_of_memory(norm, batch):
    torch.manual_seed(0)
    start, slope = torch.randn(2, batch, 16, 8, 8)
    orders = torch.contiguous_format, torch.channels_last
    found = []
    for order, back in itertools.product(orders, orders):
        x = start.clone().to(memory_format=order).requires_grad_()
        weight = torch.linspace(0.5, 2.0, 16).requires_grad_()
        NORMS[norm](x, weight).backward(slope.to(memory_format=back))
        found.append(x.grad)
    for gradient in found[1:]:
        torch.testing.assert_close(gradient, found[0], rtol=1e-4, atol=1e-5)
