"""The table of rules."""

from onnx import defs, helper

from decig.graph.rules import contraction, elementwise, find
from decig.graph.rules.registry import RULES


def test_a_rule_is_found_by_its_operator():
    assert find(helper.make_node("Conv", [], [])) is contraction.convolution
    assert find(helper.make_node("Gelu", [], [], domain="com.microsoft")) is elementwise.unary


def test_an_unknown_operator_or_domain_has_none():
    assert find(helper.make_node("NonZero", [], [])) is None
    assert find(helper.make_node("Conv", [], [], domain="own")) is None


def test_every_rule_is_for_an_operator_that_exists():
    of_onnx_runtime = {"FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "QuickGelu"}
    known = {schema.name for schema in defs.get_all_schemas()} | of_onnx_runtime
    assert set(RULES) <= known
