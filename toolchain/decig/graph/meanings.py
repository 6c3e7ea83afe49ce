"""What becomes of every attribute of every operator that decig handles.

An attribute is honoured, without effect, or refused:

- Honoured: the channel rule and the implementation in `decig.training.ops` both take it into
  account, at every value. (A setting that only the latter lacks is refused by it, with the node's
  name, when the trainable module is built: before anything is scored, planned or trained.)
- Without effect on what decig computes; the table says why.
- Refused at some values, by `require_trainable`.

A node with an attribute that is not in the table, of a newer operator set, is neither cut nor
trained: nothing is ignored in silence. Attributes that operators lost before opset 7 are not here:
graphs in normal form are of opset 7 or later.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from decig.errors import BadInputError
from decig.graph.flow import attributes

Constants = Callable[[str], np.ndarray | None]
"""Value of an initializer by name; None for any other value."""

_WINDOW = "auto_pad dilations kernel_shape pads strides"

_HONOURED = {
    "ArgMax ArgMin": "axis keepdims select_last_index",
    "AveragePool": f"{_WINDOW} ceil_mode count_include_pad",
    "BatchNormalization": "epsilon spatial training_mode",
    "Cast": "to",
    "Celu Elu LeakyRelu QuickGelu Swish ThresholdedRelu": "alpha",
    "Clip": "max min",
    "Col2Im": "dilations pads strides",
    "Concat Flatten Gather GatherElements Hardmax LogSoftmax Softmax": "axis",
    "Constant": "value value_float value_floats value_int value_ints",
    "ConstantOfShape": "value",
    "Conv": f"{_WINDOW} group",
    "ConvTranspose": f"{_WINDOW} group output_padding output_shape",
    "CumSum": "exclusive reverse",
    "DFT": "axis inverse onesided",
    "DepthToSpace": "blocksize mode",
    "Einsum": "equation",
    "FusedConv": f"{_WINDOW} activation activation_params group",
    "FusedGemm": """
        activation activation_alpha activation_beta activation_gamma alpha beta transA transB
        """,
    "FusedMatMul": "alpha transA transB transBatchA transBatchB",
    "GatherND": "batch_dims",
    "Gelu": "approximate",
    "Gemm": "alpha beta transA transB",
    "GlobalLpPool": "p",
    "GroupNormalization": "epsilon num_groups",
    "HardSigmoid": "alpha beta",
    "InstanceNormalization": "epsilon",
    "IsInf": "detect_negative detect_positive",
    "LRN": "alpha beta bias size",
    "LayerNormalization RMSNormalization": "axis epsilon",
    "LpNormalization": "axis p",
    "LpPool": f"{_WINDOW} ceil_mode p",
    "MaxPool": f"{_WINDOW} ceil_mode",
    "MaxUnpool": "kernel_shape pads strides",
    "MeanVarianceNormalization": "axes",
    "Mod": "fmod",
    "Pad": "mode pads value",
    """
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare
    """: "axes keepdims noop_with_empty_axes",
    "Bernoulli": "dtype",
    "Multinomial": "dtype sample_size",
    "RandomNormal": "dtype mean scale shape",
    "RandomNormalLike": "dtype mean scale",
    "RandomUniform": "dtype high low shape",
    "RandomUniformLike": "dtype high low",
    "Reshape": "allowzero",
    "Resize": """
        antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside
        extrapolation_value keep_aspect_ratio_policy mode nearest_mode
        """,
    "Scatter": "axis",
    "ScatterElements": "axis reduction",
    "ScatterND": "reduction",
    "Selu": "alpha gamma",
    "Shape": "end start",
    "Shrink": "bias lambd",
    "Slice": "axes ends starts",
    "SpaceToDepth": "blocksize mode",
    "Split": "axis num_outputs split",
    "Squeeze Unsqueeze": "axes",
    "TopK": "axis k largest",
    "Transpose": "perm",
    "Upsample": "mode scales",
}
"""Honoured attributes, by operators that have the same ones."""

_WITHOUT_EFFECT = {
    "BatchNormalization": {"momentum": "only running statistics that a training step stores"},
    "Cast CastLike": dict.fromkeys(("saturate", "round_mode"), "floats of 8 bits and less alone"),
    "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike": {
        "seed": "which draws are made, not how"
    },
    "Dropout": dict.fromkeys(("ratio", "seed"), "in training mode alone, which is refused"),
    "GroupNormalization LayerNormalization RMSNormalization Range": {
        "stash_type": "the precision of what lies between"
    },
    "MaxPool": {"storage_order": "the output of indices alone"},
    "TopK": {"sorted": "where it is off any order is right"},
}
"""Attributes that change nothing here, by operator, with what they do concern."""


@dataclass(frozen=True)
class Refusal:
    """Values of an attribute that the trainable module does not take.

    Attributes:
        op_types: operators that have the attribute.
        attribute: its name.
        applies: whether a node, which has the attribute, is refused for its value.
        why: the end of the message: what the value means, and what to do.
    """

    op_types: frozenset[str]
    attribute: str
    applies: Callable[[onnx.NodeProto, Any, Constants], bool]
    why: str


_REFUSED = (
    Refusal(
        frozenset(["Cast"]),
        "to",
        lambda _node, value, _constant: value == TensorProto.STRING,
        "strings are no pictures; take the part of the graph that makes them away",
    ),
    Refusal(
        frozenset(["SpaceToDepth"]),
        "mode",
        lambda _node, value, _constant: value not in (b"DCR", "DCR"),
        "only the order DCR is known; write the other with Reshape and Transpose",
    ),
    Refusal(
        frozenset(["Constant"]),
        "sparse_value",
        lambda *_: True,
        "a sparse constant; export the model with dense ones",
    ),
    Refusal(
        frozenset(["Constant"]),
        "value_string",
        lambda *_: True,
        "strings are no pictures; take the part of the graph that reads them away",
    ),
    Refusal(
        frozenset(["Constant"]),
        "value_strings",
        lambda *_: True,
        "strings are no pictures; take the part of the graph that reads them away",
    ),
)
"""What the trainable module does not take. An entry goes once `decig.training.ops` knows it."""


def known(op_type: str) -> frozenset[str]:
    """Names of the attributes of an operator that are honoured, without effect, or refused."""
    return _KNOWN.get(op_type, frozenset())


def unknown(node: onnx.NodeProto) -> str | None:
    """Name of an attribute of a node that is not in the table; None if all are."""
    listed = known(node.op_type)
    return next((a.name for a in node.attribute if a.name not in listed), None)


def require_trainable(nodes: Iterable[onnx.NodeProto], constants: Mapping[str, np.ndarray]) -> None:
    """Check that the trainable module computes what nodes mean.

    Args:
        nodes: of a graph in normal form.
        constants: its initializers, by name.

    Raises:
        BadInputError: an attribute, or the training mode of a Dropout, is refused or not known;
            the message names the node, the attribute, its value and what to do.
    """
    for node in nodes:
        given = attributes(node)
        for refusal in _REFUSED:
            value = given.get(refusal.attribute)
            if node.op_type not in refusal.op_types or value is None:
                continue
            if refusal.applies(node, value, constants.get):
                raise _refused(node, f"{refusal.attribute} = {_shown(value)}", refusal.why)
        strange = unknown(node)
        if strange is not None:
            why = "this attribute is not known; export the model with an earlier opset"
            raise _refused(node, f"{strange} = {_shown(given[strange])}", why)
        if node.op_type == "Dropout" and _drops(node, constants):
            why = "it draws other numbers in every run; export in inference mode (model.eval())"
            raise _refused(node, "training_mode", why)


def _drops(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> bool:
    """Whether a Dropout works as in training: its third input, from opset 12 on."""
    name = node.input[2] if len(node.input) > 2 else ""
    return bool(name) and (name not in constants or bool(constants[name].any()))


def _refused(node: onnx.NodeProto, what: str, why: str) -> BadInputError:
    return BadInputError(f"{node.op_type} {node.name} cannot be trained with {what}: {why}")


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if isinstance(value, int | float | list) else type(value).__name__


def _listed() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for op_types, listed in _HONOURED.items():
        for op_type in op_types.split():
            found.setdefault(op_type, set()).update(listed.split())
    for op_types, reasons in _WITHOUT_EFFECT.items():
        for op_type in op_types.split():
            found.setdefault(op_type, set()).update(reasons)
    for refusal in _REFUSED:
        for op_type in refusal.op_types:
            found.setdefault(op_type, set()).add(refusal.attribute)
    return {op_type: frozenset(listed) for op_type, listed in found.items()}


_KNOWN = _listed()
