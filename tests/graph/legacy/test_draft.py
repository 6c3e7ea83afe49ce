"""What a rule writes in place of an old node."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from decig.errors import BadInputError
from decig.graph.legacy.draft import Draft

KNOWN = {"c": np.array([1.0, 2.0])}


def draft(*inputs: str, dtype: type = np.float32, **attributes: object) -> Draft:
    node = helper.make_node("Old", inputs, ["y"], name="old", **attributes)
    return Draft(node, 6, np.dtype(dtype), [4], KNOWN.get)


def test_what_the_old_node_says() -> None:
    made = draft("x", "", "c", scale=2.0)
    assert made.given("scale") == 2.0 and made.given("bias", 3) == 3
    assert made.array(1) is None and made.array(7) is None
    assert made.array(2) is KNOWN["c"]
    message = r"operator Old \(node 'old'\) with a computed input x has no current form"
    with pytest.raises(BadInputError, match=message):
        made.array(0)


def test_nodes_follow_each_other_and_the_last_stands_for_the_old_one() -> None:
    made = draft("x", dtype=np.float16)
    scaled = made.add("Mul", "x", 2.0)
    made.add("Add", scaled, np.array([1, 2], np.int64), axis=None)
    first, last = made.finish()
    assert (first.name, list(first.input)) == ("old/legacy0", ["x", "old/constant0"])
    assert list(first.output) == [scaled]
    assert (last.name, list(last.output)) == ("old", ["y"])
    assert list(last.input) == [scaled, "old/constant1"] and not last.attribute
    number, array = map(numpy_helper.to_array, made.constants)
    assert number.dtype == np.float16 and number == 2  # of the old node's type
    assert array.dtype == np.int64


def test_a_node_without_a_name_is_called_after_its_output() -> None:
    node = helper.make_node("Old", ["x"], ["y"])
    made = Draft(node, 6, np.dtype(np.float32), [4], KNOWN.get)
    assert made.add("Relu", "x") == "y/legacy0"
    assert made.finish()[0].name == "y"
