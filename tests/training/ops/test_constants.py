"""Operators whose result is known when the module is built."""

from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper

from decig.errors import BadInputError
from decig.training.ops import Input, Tracer
from decig.training.ops.node import OpNode
from decig.training.ops.registry import translate


def made(op_type: str, *inputs: np.ndarray, opset: int = 18, **attributes: Any) -> np.ndarray:
    names = [f"c{slot}" for slot in range(len(inputs))]
    proto = helper.make_node(op_type, names, ["y"], name="n", **attributes)
    values = dict(zip(names, inputs, strict=True))
    (found,) = translate(OpNode(proto, opset, Tracer(), values))
    assert isinstance(found, np.ndarray)
    return found


def test_constants_in_every_spelling() -> None:
    tensor = numpy_helper.from_array(np.float16([[1, 2]]))
    assert made("Constant", value=tensor).tolist() == [[1, 2]]
    assert made("Constant", value=tensor).dtype == np.float16
    assert made("Constant", value_float=0.5).dtype == np.float32
    assert made("Constant", value_ints=[3, 4]).tolist() == [3, 4]
    assert made("Constant", value_int=7).shape == ()
    with pytest.raises(BadInputError, match=r"node n \(Constant\): a constant of this kind"):
        made("Constant", value_string="text")


def test_constant_of_shape() -> None:
    shape = np.array([2, 3])
    assert made("ConstantOfShape", shape).dtype == np.float32
    assert not made("ConstantOfShape", shape).any()
    seven = numpy_helper.from_array(np.int64([7]))
    found = made("ConstantOfShape", shape, value=seven)
    assert found.dtype == np.int64 and (found == 7).all() and found.shape == (2, 3)


def test_range() -> None:
    found = made("Range", *(np.array(n, np.int32) for n in (2, 11, 4)))
    assert found.tolist() == [2, 6, 10] and found.dtype == np.int32


@pytest.mark.parametrize(
    ("op_type", "attributes", "wanted"),
    [
        ("Shape", {}, [1, 3, 8, 6]),
        ("Shape", {"start": 1, "end": -1}, [3, 8]),
        ("Size", {}, 144),
    ],
)
def test_sizes_are_constants_and_tie_the_module_to_them(
    op_type: str, attributes: dict[str, int], wanted: Any
) -> None:
    tracer = Tracer()
    image = tracer.placeholder(Input("x", (1, 3, 8, 6), torch.float32, (2, 3)))
    proto = helper.make_node(op_type, ["x"], ["y"], name="n", **attributes)
    (found,) = translate(OpNode(proto, 18, tracer, {"x": image}))
    assert found.tolist() == wanted
    assert tracer.tied == {"batch": "n", "extent": "n"}
