"""The table of operators."""

import pytest
from onnx import helper

from decig.errors import BadInputError
from decig.training.ops import registry
from decig.training.ops.node import OpNode
from decig.training.ops.tracer import Tracer


def node(op_type: str, domain: str = "") -> OpNode:
    proto = helper.make_node(op_type, [], ["y"], name="n", domain=domain)
    return OpNode(proto, 18, Tracer(), {})


def test_registered_functions_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "OPERATORS", {})

    @registry.op("One", "Other")
    def one(given: OpNode) -> str:
        return f"one of {given.op_type}"

    @registry.op("Two")
    def two(given: OpNode) -> tuple[str, str]:
        return "first", "second"

    assert one(node("One")) == "one of One"  # the decorated function stays what it is
    for domain in ("", "ai.onnx", "com.microsoft"):
        assert registry.translate(node("Other", domain)) == ("one of Other",)
    assert registry.translate(node("Two")) == ("first", "second")


def test_an_operator_is_registered_once() -> None:
    earlier = registry.OPERATORS["Relu"]
    with pytest.raises(ValueError, match=r"Relu is registered twice: as .* and as tests\."):

        @registry.op("Relu")
        def another(given: OpNode) -> str:
            return given.op_type

    assert registry.OPERATORS["Relu"] is earlier


@pytest.mark.parametrize(
    ("op_type", "domain", "shown"), [("Nonsense", "", "Nonsense"), ("Relu", "own", "own.Relu")]
)
def test_what_is_not_known_is_named(op_type: str, domain: str, shown: str) -> None:
    with pytest.raises(BadInputError, match=rf"node n \({op_type}\): the operator {shown} cannot"):
        registry.translate(node(op_type, domain))
