"""Every operator against ONNX Runtime, on one-node graphs."""

import numpy as np
import pytest
import torch
from onnx import helper

from decig.graph import rules
from decig.graph.operators import Kind, find
from decig.training.ops import registry
from decig.training.trainable.module import build_module
from tests.training.onnx_cases import assert_parity, one_node, run_ort
from tests.training.op_cases import ALL


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


@pytest.mark.parametrize(("op_type", "inputs", "arguments"), ALL)
def test_any_operand_may_come_from_a_product_in_bf16(op_type, inputs, arguments):
    """Under autocast what a convolution gives is narrower than all else that the module holds."""
    module = build_module(one_node(op_type, *inputs, **arguments))
    floats = [slot for slot, array in enumerate(inputs) if array.dtype == np.float32]
    for narrow in [*([slot] for slot in floats), *([floats] if len(floats) > 1 else [])]:
        tensors = [torch.from_numpy(array.copy()) for array in inputs]
        for slot in narrow:
            tensors[slot] = tensors[slot].bfloat16()
        for slot in floats:
            tensors[slot].requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            found = module(*tensors)
        grown = [value.float().sum() for value in found if value.requires_grad]
        if grown:
            torch.stack(grown).sum().backward()


def test_whatever_can_be_cut_can_be_trained():
    """But for what draws: two runs of it differ, and training would learn from noise."""
    random = {
        name
        for name in rules.registry.RULES
        if find(helper.make_node(name, [], [])).kind is Kind.RANDOM
    }
    assert random and set(rules.registry.RULES) - random == set(registry.OPERATORS)
