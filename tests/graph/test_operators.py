"""The table of operators, against the channel rules, the trainable module and ONNX itself."""

import onnx
import pytest
from onnx import defs, helper

from decig.graph.operators import Int8, Kind, every, find, in_known_domain, names
from decig.graph.rules import registry as rules

_OF_ONNX_RUNTIME = {
    *("DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "FastGelu", "FusedConv", "FusedGemm"),
    *("FusedMatMul", "MatMulIntegerToFloat", "QuickGelu"),
}


def node(op_type: str, domain: str = "") -> onnx.NodeProto:
    return helper.make_node(op_type, ["x"], ["y"], domain=domain)


def test_no_operator_has_two_entries():
    listed = [entry.name for entry in every()]
    assert len(listed) == len(set(listed))


def test_every_operator_exists():
    standard = {schema.name for schema in defs.get_all_schemas_with_history()}
    quantised = {name for name in names(Kind.QUANTISED) if name.startswith("QLinear")}
    assert set(names()) - standard - quantised == _OF_ONNX_RUNTIME


def test_every_channel_rule_is_for_an_operator_of_the_table():
    assert set(rules.RULES) <= set(names())


@pytest.mark.train
def test_every_trained_operator_is_in_the_table():
    from decig.training.ops import registry

    assert set(registry.OPERATORS) <= set(names())


@pytest.mark.parametrize(
    "kind",
    [
        *(Kind.CONVOLUTION, Kind.ACTIVATION, Kind.FUNCTION, Kind.ARITHMETIC, Kind.POOL),
        *(Kind.REDUCTION, Kind.SIZE, Kind.CONSTANT),
    ],
)
def test_kinds_with_one_rule_have_it(kind: Kind):
    found = {rules.RULES[name] for name in names(kind)}
    assert len(found) == 1


def test_an_operator_is_found_in_its_domains():
    assert find(node("Conv")).kind is Kind.CONVOLUTION
    assert find(node("Gelu", "com.microsoft")).kind is Kind.ACTIVATION
    assert find(node("Conv", "ai.onnx")).name == "Conv"


@pytest.mark.parametrize(("op_type", "domain"), [("NonZero", ""), ("Conv", "own")])
def test_any_other_operator_is_unknown(op_type: str, domain: str):
    entry = find(node(op_type, domain))
    assert (entry.name, entry.kind, entry.count) == (op_type, Kind.UNKNOWN, None)
    assert in_known_domain(node(op_type, domain)) == (domain == "")


def test_layers_are_what_multiplies_by_weights():
    layers = {entry.name for entry in every() if entry.is_layer}
    assert layers == {entry.name for entry in every() if entry.count is not None}


def test_a_fused_operator_stands_for_one_of_the_table():
    fused = {entry.name: entry.plain for entry in every() if entry.plain}
    assert fused == {"FusedConv": "Conv", "FusedGemm": "Gemm", "FusedMatMul": "MatMul"}
    for entry in every():
        if entry.plain:
            like = next(other for other in every() if other.name == entry.plain)
            assert (entry.kind, entry.count) == (like.kind, like.count)


def test_what_fuses_follows_its_layer():
    entries = {entry.name: entry for entry in every()}
    assert all(entries[name].follows for entry in every() for name in entry.fuses)


def test_what_works_in_eight_bits_is_not_kept_in_float32():
    assert not [entry.name for entry in every() if entry.in_float32 and entry.int8 is not Int8.NO]
