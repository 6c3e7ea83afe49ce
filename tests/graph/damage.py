"""Damage to a graph as files have it: a node gone, a name wrong, an attribute absurd."""

import random

import onnx
from onnx import AttributeProto, helper

_OPERATORS = (
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Einsum",
    "Expand",
    "Flatten",
    "Gather",
    "GroupNormalization",
    "If",
    "InstanceNormalization",
    "Loop",
    "MatMul",
    "NonZero",
    "Pad",
    "ReduceMean",
    "Reshape",
    "Resize",
    "Scan",
    "SequenceConstruct",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "TopK",
    "Transpose",
    "Unknown",
    "Upsample",
)
_SIZES = (-1, 0, 1, 3, 7, 10**6, 2**33)
_TYPES = (0, 1, 6, 7, 8, 9, 10, 11, 16, 99)


def damaged(proto: onnx.ModelProto, seed: int) -> tuple[bytes, str]:
    """Return the bytes of a graph with one or two faults, and what they are."""
    dice = random.Random(seed)
    if dice.random() < 0.2:
        content = bytearray(proto.SerializeToString())
        for _ in range(dice.randrange(1, 5)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        return bytes(content), "bytes"
    broken = onnx.ModelProto()
    broken.CopyFrom(proto)
    faults = [dice.choice(_FAULTS) for _ in range(dice.choice((1, 1, 2)))]
    for fault in faults:
        fault(broken, dice)
    return broken.SerializeToString(), ", ".join(fault.__name__.strip("_") for fault in faults)


def _node(proto: onnx.ModelProto, dice: random.Random) -> onnx.NodeProto:
    return dice.choice(list(proto.graph.node))


def _drop_node(proto: onnx.ModelProto, dice: random.Random) -> None:
    proto.graph.node.remove(_node(proto, dice))


def _read_another_value(proto: onnx.ModelProto, dice: random.Random) -> None:
    node = _node(proto, dice)
    if node.input:
        node.input[dice.randrange(len(node.input))] = _node(proto, dice).output[0]


def _rename_output(proto: onnx.ModelProto, dice: random.Random) -> None:
    _node(proto, dice).output[0] += "_renamed"


def _change_attribute(proto: onnx.ModelProto, dice: random.Random) -> None:
    attributes = [attribute for node in proto.graph.node for attribute in node.attribute]
    attribute = dice.choice(attributes)
    if attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[dice.randrange(len(attribute.ints))] = dice.choice(_SIZES)
    elif attribute.type == AttributeProto.INT:
        attribute.i = dice.choice(_SIZES)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = dice.choice((float("nan"), -1.0, 1e30))
    elif attribute.type == AttributeProto.STRING:
        attribute.s = b"nonsense"


def _add_attribute(proto: onnx.ModelProto, dice: random.Random) -> None:
    name = dice.choice(("axis", "group", "perm", "mode", "auto_pad", "pads", "strides"))
    value = dice.choice((5, -7, [1, 2], b"x"))
    _node(proto, dice).attribute.append(helper.make_attribute(name, value))


def _change_operator(proto: onnx.ModelProto, dice: random.Random) -> None:
    _node(proto, dice).op_type = dice.choice(_OPERATORS)


def _change_domain(proto: onnx.ModelProto, dice: random.Random) -> None:
    _node(proto, dice).domain = dice.choice(("com.microsoft", "somebody.else", "ai.onnx.ml"))


def _change_opset(proto: onnx.ModelProto, dice: random.Random) -> None:
    del proto.opset_import[:]
    domain = dice.choice(("", "", "somebody.else"))
    proto.opset_import.append(helper.make_opsetid(domain, dice.choice((1, 5, 6, 9, 13, 99, -3))))


def _resize_weight(proto: onnx.ModelProto, dice: random.Random) -> None:
    dims = [dice.choice(_SIZES) for _ in range(dice.randrange(5))]
    dice.choice(list(proto.graph.initializer)).dims[:] = dims


def _retype_weight(proto: onnx.ModelProto, dice: random.Random) -> None:
    dice.choice(list(proto.graph.initializer)).data_type = dice.choice(_TYPES)


def _drop_weight(proto: onnx.ModelProto, dice: random.Random) -> None:
    proto.graph.initializer.remove(dice.choice(list(proto.graph.initializer)))


def _retype_value(proto: onnx.ModelProto, dice: random.Random) -> None:
    value = dice.choice([*proto.graph.input, *proto.graph.output])
    value.type.tensor_type.elem_type = dice.choice(_TYPES)


def _reshape_value(proto: onnx.ModelProto, dice: random.Random) -> None:
    value = dice.choice([*proto.graph.input, *proto.graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims and dice.random() < 0.5:
        del dims[dice.randrange(len(dims))]
    else:
        dims.add().dim_value = dice.choice(_SIZES)


def _open_axes(proto: onnx.ModelProto, dice: random.Random) -> None:
    for dim in proto.graph.input[0].type.tensor_type.shape.dim:
        if dice.random() < 0.5:
            dim.dim_param = dice.choice(("N", "H"))


_FAULTS = (
    _drop_node,
    _read_another_value,
    _rename_output,
    _change_attribute,
    _add_attribute,
    _change_operator,
    _change_domain,
    _change_opset,
    _resize_weight,
    _retype_weight,
    _drop_weight,
    _retype_value,
    _reshape_value,
    _open_axes,
)
