"""Reading and writing at places beside the table of `op_cases`: sizes, gradients, refusals."""

import numpy as np
import pytest
import torch

from decig.errors import BadInputError
from decig.training.ops.scatter import (
    take_elements,
    take_places,
    write_elements,
    write_places,
    write_slices,
)
from decig.training.trainable.module import build_module, takes_batches
from tests.training.onnx_cases import assert_close, assert_refused, one_node, parsed, run_ort
from tests.training.op_case import ints, x

PLACES = torch.tensor([[2, 1], [0, 2], [-1, 0]])


OLD, NEW = (4, 3, 2), (3, 2)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x, y: write_slices(x, y, (slice(1, 4, 2),)), (OLD, (2, 3, 2))),
        (lambda x, y: write_places(x, PLACES, y, None), (OLD, NEW)),
        (lambda x, y: write_places(x, PLACES, y, "sum"), (OLD, NEW)),
        (lambda x, y: write_places(x, PLACES, y, "prod"), (OLD, NEW)),
        (lambda x, y: write_elements(x, PLACES, y, 0, None), ((4, 2), NEW)),
        (lambda x, y: write_elements(x, PLACES, y, 0, "sum"), ((4, 2), NEW)),
        (lambda x, y: take_places(x, PLACES, 0) * y, (OLD, NEW)),
        (lambda x, y: take_elements(x, PLACES, 0) * y, ((4, 2), NEW)),
    ],
)
def test_gradients_of_own_functions(function, shapes) -> None:
    torch.manual_seed(0)
    pair = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(function, pair)


def test_what_is_written_over_has_no_gradient_and_stays() -> None:
    old = torch.zeros(4, 2, requires_grad=True)
    new = torch.ones(2, 2, requires_grad=True)
    found = write_slices(old, new, (slice(1, 3),))
    found.sum().backward()
    assert old.grad.tolist() == [[1, 1], [0, 0], [0, 0], [1, 1]]
    assert not old.any() and new.grad.tolist() == [[1, 1], [1, 1]]


def written(batch: int, height: int, width: int) -> "object":
    """The first channels of a picture are replaced, as PyTorch's exporter writes it."""
    return parsed(
        """
        a = Slice(x, zero, two, one)
        b = Neg(a)
        t = Transpose <perm = [1, 0, 2, 3]> (x)
        u = Transpose <perm = [1, 0, 2, 3]> (b)
        s = ScatterND(t, i, u)
        y = Transpose <perm = [1, 0, 2, 3]> (s)
        """,
        (batch, 5, height, width),
        zero=ints([0]),
        two=ints([2]),
        one=ints([1]),
        i=ints([[0], [1]]),
    )


def test_slices_of_channels_follow_the_batch_and_the_size() -> None:
    module = build_module(written(1, 8, 8))
    assert takes_batches(module) and "write_slices" in module.code
    images = x(3, 5, 6, 10)
    with torch.no_grad():
        found = module(torch.from_numpy(images))[0].numpy()
    assert_close(found, run_ort(written(3, 6, 10), images)[0])


def test_indices_that_name_every_pixel_still_follow_where_they_cover_an_axis() -> None:
    places = np.stack(np.meshgrid([0], [1, 3], range(8), range(6), indexing="ij"), -1)
    proto = parsed(
        "a = Slice(x, zero, two, one) y = ScatterND(x, i, a)",
        (1, 5, 8, 6),
        zero=ints([0]),
        two=ints([2]),
        one=ints([1]),
        i=places,
    )
    images = x(2, 5, 4, 4)
    with torch.no_grad():
        found = build_module(proto)(torch.from_numpy(images))[0].numpy()
    wanted = images.copy()
    wanted[:, [1, 3]] = images[:, :2]
    assert np.array_equal(found, wanted)


def test_a_patch_of_the_picture_ties_the_module_to_its_size() -> None:
    places = np.stack(np.meshgrid([0], [0, 1], [2, 3], [1, 2], indexing="ij"), -1)
    patch = x(1, 2, 2, 2)
    proto = one_node("ScatterND", x(1, 2, 8, 8), constants={1: places, 2: patch})
    module = build_module(proto)
    assert {name for name, _ in module.named_parameters()} == {"in2"}
    with pytest.raises(BadInputError, match="axis 2 must be 8, not 16"):
        module(torch.zeros(1, 2, 16, 16))


@pytest.mark.parametrize(
    ("op_type", "inputs", "constants", "attributes"),
    [
        ("GatherElements", (1, 2, 4), {1: ints([[[3, 0], [1, 1]]])}, {"axis": 2}),
        ("GatherND", (1, 2, 4), {1: ints([[0, 1], [0, 0]])}, {}),
    ],
)
def test_constant_places_tie_the_module_to_the_batch(
    op_type: str, inputs: tuple, constants: dict, attributes: dict
) -> None:
    module = build_module(one_node(op_type, x(*inputs), constants=constants, **attributes))
    with pytest.raises(BadInputError, match="axis 0 must be 1, not 2"):
        module(torch.zeros(2, 2, 4))


def test_places_that_are_computed_follow_the_batch() -> None:
    text = "v, i = TopK <axis = 2> (x, k) y = GatherElements <axis = 2> (x, i)"
    images = x(3, 2, 9)
    with torch.no_grad():
        found = build_module(parsed(text, (1, 2, 6), k=ints([2])))(torch.from_numpy(images))[0]
    assert_close(found.numpy(), np.sort(images, axis=2)[:, :, :-3:-1])


def test_a_reduction_that_is_not_known_is_refused() -> None:
    constants = {1: ints([[0]]), 2: x(1, 3)}
    message = "reduction mean is not supported"
    assert_refused("ScatterND", x(4, 3), constants=constants, reduction="mean", message=message)
