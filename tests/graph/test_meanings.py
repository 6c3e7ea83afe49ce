"""Every attribute of every operator that decig handles: in the table, and honoured or refused."""

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import defs, helper

from decig.errors import BadInputError
from decig.graph import rules
from decig.graph.channels import analyse
from decig.graph.meanings import known, require_trainable, unknown
from decig.graph.model import initializers, normalise
from decig.graph.operators import Kind, names
from decig.graph.plan import Plan
from tests.graph.attribute_case import Case
from tests.graph.attribute_cases import BY_OPERATOR
from tests.graph.tiny import parse, reasons, run, tiny, worst_difference

_FIRST_OPSET = 7
_CASES = [
    pytest.param(kind, attribute, case, id=f"{kind}-{attribute}")
    for kind, cases in BY_OPERATOR.items()
    for attribute, case in cases.items()
]


def _of_the_standard(op_type: str) -> Iterator[set[str]]:
    """Attributes of an operator at every opset that a graph in normal form may have."""
    for version in range(_FIRST_OPSET, defs.onnx_opset_version() + 1):
        try:
            schema = defs.get_schema(op_type, version, "")
        except defs.SchemaError:
            continue
        if not schema.deprecated:
            yield set(schema.attributes)


@pytest.mark.parametrize("op_type", sorted(rules.registry.RULES))
def test_every_attribute_of_the_standard_is_in_the_table(op_type: str):
    assert set().union(*_of_the_standard(op_type)) <= known(op_type)


@pytest.mark.train
def test_every_attribute_of_a_trained_operator_is_in_the_table():
    from decig.training.ops import registry

    missing = {
        op_type: found
        for op_type in registry.OPERATORS
        if (found := set().union(*_of_the_standard(op_type)) - known(op_type))
    }
    assert missing == {}


_DULL = {
    # without effect
    *(("BatchNormalization", "momentum"), ("Dropout", "ratio"), ("Dropout", "seed")),
    *((kind, name) for kind in ("Cast", "CastLike") for name in ("saturate", "round_mode")),
    *((f"{kind}Normalization", "stash_type") for kind in ("Group", "Layer", "RMS")),
    *(("MaxPool", "storage_order"), ("Range", "stash_type"), ("TopK", "sorted")),
    # of what draws: no two runs are alike; tests/graph/test_draws.py
    *((kind, name) for kind in names(Kind.RANDOM) for name in known(kind)),
    # refused or frozen, below
    *(("Constant", f"{kind}") for kind in ("sparse_value", "value_string", "value_strings")),
    *(("SpaceToDepth", "mode"), ("Gemm", "transA"), ("FusedGemm", "transA")),
    *(("FusedMatMul", "transBatchA"), ("FusedMatMul", "transBatchB")),
}


def test_every_attribute_has_a_case():
    wanted = {(kind, name) for kind in rules.registry.RULES for name in known(kind)}
    cases = {(kind, name) for kind, listed in BY_OPERATOR.items() for name in listed}
    assert wanted - cases == _DULL & wanted
    assert cases.isdisjoint(_DULL)


@pytest.mark.parametrize(("kind", "attribute", "case"), _CASES)
def test_the_case_tests_the_attribute(kind: str, attribute: str, case: Case):
    """With the other value the graph computes something else."""
    assert attribute in known(kind)
    assert attribute in case.value
    (found,) = run(case.graph(case.value))
    if case.other is not None:
        (other,) = run(case.graph(case.other))
        assert found.shape != other.shape or np.abs(found - other).max() > 1e-4


@pytest.mark.parametrize(("kind", "attribute", "case"), _CASES)
def test_channels_are_cut_with_the_attribute(kind: str, attribute: str, case: Case):
    proto = normalise(case.graph(case.value))
    channels = analyse(proto)
    if case.frozen:
        assert reasons(channels)["c1"].startswith(case.frozen)
        return
    assert "c1" in {group.name for group in channels.prunable}, reasons(channels)
    keep = {group.name: list(range(group.channels))[1::2] or [0] for group in channels.prunable}
    assert worst_difference(proto, channels, Plan("", keep)) <= 1e-4


@pytest.mark.train
@pytest.mark.parametrize(("kind", "attribute", "case"), _CASES)
def test_the_trainable_module_honours_or_refuses_the_attribute(
    kind: str, attribute: str, case: Case
):
    import torch

    from decig.training.trainable.module import build_module

    proto = normalise(case.graph(case.value))
    image = np.random.default_rng(1).uniform(-2, 2, (1, 3, 6, 6)).astype(np.float32)
    try:
        module = build_module(proto).eval()
    except BadInputError as refusal:
        assert "the_node" in str(refusal)
        return
    with torch.no_grad():
        (found,) = module(torch.from_numpy(image))
    (expected,) = run(proto, {"x": image})
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-4)


def refusal(proto: onnx.ModelProto) -> str:
    with pytest.raises(BadInputError) as found:
        require_trainable(proto.graph.node, initializers(proto))
    assert "\n" not in str(found.value)
    return str(found.value)


@pytest.mark.parametrize(
    ("body", "constants", "message"),
    [
        (
            "[n] s = Cast<to=8>(x)\n y = Cast<to=1>(s)",
            {},
            "Cast n cannot be trained with to = 8: strings are no pictures",
        ),
        (
            "[n] y, m = Dropout(x, ratio, yes)",
            {"ratio": np.float32(0.5), "yes": np.array(True)},
            "Dropout n cannot be trained with training_mode: it draws other numbers",
        ),
    ],
)
def test_what_is_refused(body: str, constants: dict, message: str):
    proto = parse(body, **constants)
    assert refusal(proto).startswith(message)


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("y = BatchNormalization<training_mode=0>(x, s, s, s, s)", {"s": (3,)}),
        ("y = ReduceL1<noop_with_empty_axes=1>(x)", {}),
        ("y = ReduceL1<noop_with_empty_axes=1>(x, axes)", {"axes": [2]}),
        ("y = ReduceL1<noop_with_empty_axes=0>(x)", {}),
        ("y, m = Dropout(x, ratio, no)", {"ratio": np.float32(0.5), "no": np.array(False)}),
        ("y, m = Dropout(x, ratio)", {"ratio": np.float32(0.5)}),
    ],
)
def test_what_is_not_refused(body: str, constants: dict):
    proto = parse(body, **constants)
    require_trainable(proto.graph.node, initializers(proto))


@pytest.mark.train
def test_a_refusal_ends_the_building_of_the_module():
    from decig.training.trainable.module import build_module

    proto = tiny("[n] s = Cast<to=8>(x)\n y = Cast<to=1>(s)", opset=18)
    with pytest.raises(BadInputError, match="Cast n cannot be trained"):
        build_module(proto)


def strange(op_type: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op_type, ["x"], ["y"], name="n", **attributes)


def test_an_attribute_that_is_not_in_the_table():
    """As a later opset may add."""
    node = strange("LeakyRelu", alpha=0.1, beta=0.2)
    assert unknown(node) == "beta"
    assert unknown(strange("LeakyRelu", alpha=0.1)) is None
    with pytest.raises(BadInputError, match=r"LeakyRelu n cannot be trained with beta = 0\.2"):
        require_trainable([node], {})


def test_a_node_with_such_an_attribute_is_not_cut():
    proto = tiny(
        "[c] a = Conv(x, w)\n [n] b = LeakyRelu(a)\n y = Conv(b, w2)",
        w=(4, 3, 1, 1),
        w2=(3, 4, 1, 1),
    )
    assert not reasons(analyse(proto)).keys() & {"c"}
    proto.graph.node[1].attribute.append(helper.make_attribute("beta", 0.2))
    assert reasons(analyse(proto))["c"] == "attribute beta of LeakyRelu n is not known"


def test_another_order_of_space_to_depth_is_not_cut():
    """Opset 28 adds it; what ONNX Runtime runs is older."""
    body = "[c] a = Conv(x, w)\n [n] b = SpaceToDepth<blocksize=2>(a)\n y = Conv(b, w2)"
    proto = tiny(body, w=(4, 3, 1, 1), w2=(3, 16, 1, 1))
    proto.graph.node[1].attribute.append(helper.make_attribute("mode", "CRD"))
    assert reasons(analyse(proto))["c"] == "SpaceToDepth n is in another order than DCR"
    assert refusal(proto).startswith("SpaceToDepth n cannot be trained with mode = CRD")


@pytest.mark.parametrize(
    ("region", "cut"),
    [([0, 0, 0, 0, 1, 1, 0.5, 1], True), ([0, 0.5, 0, 0, 1, 1, 1, 1], False)],
)
def test_a_resize_that_crops_channels_is_not_cut(region: list, cut: bool):
    settings = 'mode="linear", coordinate_transformation_mode="tf_crop_and_resize"'
    body = f"[c] a = Conv(x, w)\n [n] b = Resize<{settings}>(a, roi, scales)\n y = Conv(b, w2)"
    proto = tiny(
        body,
        w=(4, 3, 1, 1),
        w2=(3, 4, 1, 1),
        roi=np.float32(region),
        scales=np.float32([1, 1, 2, 2]),
    )
    found = reasons(analyse(proto)).get("c", "")
    assert found == ("" if cut else "Resize n crops channels")


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("Gemm<transA=1>(q, k)", "Gemm the_node has a computed or transposed operand"),
        (
            'com.microsoft.FusedGemm<activation="Relu", transA=1>(q, k)',
            "Gemm the_node has a computed or transposed operand",
        ),
        ("com.microsoft.FusedMatMul<transBatchA=1>(a, a)", "FusedMatMul the_node transposes an"),
        ("com.microsoft.FusedMatMul<transBatchB=1>(a, a)", "FusedMatMul the_node transposes an"),
    ],
)
def test_transposed_operands_are_left_alone(node: str, reason: str):
    body = f"""
        [c1] a = Conv(x, w1)
        f = Flatten(a)
        q = Transpose(f)
        [the_node] s = {node}
        y = Reshape(s, size)
    """
    proto = tiny(body, w1=(4, 3, 1, 1), k=(256, 3), size=[1, -1, 1, 1])
    assert any(found.startswith(reason) for found in reasons(analyse(proto)).values())
