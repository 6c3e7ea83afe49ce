"""What a legacy rule writes: the current nodes that replace an old one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from decig.errors import BadInputError


class Draft:
    """Nodes and constants that replace one old node.

    Attributes:
        node: the old node.
        opset: version of the default operator set.
        dtype: element type of the node's first input.
        ranks: how many axes the node's inputs have; None where it is not known.
    """

    def __init__(
        self,
        node: onnx.NodeProto,
        opset: int,
        dtype: np.dtype,
        ranks: list[int | None],
        constant: Callable[[str], np.ndarray | None],
    ) -> None:
        self.node, self.opset, self.dtype, self.ranks = node, opset, dtype, ranks
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self._constant = constant
        self._stem = node.name or node.output[0]

    def given(self, name: str, default: Any = None) -> Any:
        """Value of the old node's attribute."""
        return self._attributes.get(name, default)

    def array(self, slot: int) -> np.ndarray | None:
        """Value of the old node's input, None where it is absent.

        Raises:
            BadInputError: it is computed.
        """
        name = self.node.input[slot] if slot < len(self.node.input) else ""
        if not name:
            return None
        value = self._constant(name)
        if value is None:
            raise self.refusal(f"with a computed input {name}")
        return value

    def refusal(self, why: str) -> BadInputError:
        """Return the error that says which node cannot be rewritten and why."""
        return BadInputError(
            f"operator {self.node.op_type} (node '{self._stem}') {why} has no current form: "
            "export the model again with current operators"
        )

    def add(self, op_type: str, *inputs: str | np.ndarray | float, **attributes: Any) -> str:
        """Append a node and return the name of its output.

        An input is the name of a value, or a constant: a number takes the old node's element
        type, an array its own. Attributes that are None are left out.
        """
        names = [value if isinstance(value, str) else self._keep(value) for value in inputs]
        output = f"{self._stem}/legacy{len(self.nodes)}"
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op_type, names, [output], name=output, **given))
        return output

    def finish(self) -> list[onnx.NodeProto]:
        """Return the nodes; the last one takes the old node's name and output."""
        last = self.nodes[-1]
        last.name, last.output[0] = self._stem, self.node.output[0]
        return self.nodes

    def _keep(self, value: np.ndarray | float) -> str:
        array = value if isinstance(value, np.ndarray) else np.array(value, self.dtype)
        name = f"{self._stem}/constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name
