"""InstanceNorms replaced by fixed numbers, which are folded into the layer in front of them.

An InstanceNormalization with scale g and shift b normalises every image by its own mean and
deviation. With one factor a and one shift c for all images instead, it can be folded away:

    W x + d  ->  InstanceNormalization   becomes   (a W) x + (a d + c)

`Statistics.affine` finds the a and c that come closest. The result is not exact:
`decig.training.compression.fold_norms` decides by the pictures which norms are folded.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, helper

from decig.graph.model import infer_shapes
from decig.graph.operators import find
from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.fold_batchnorm import along_outputs
from decig.graph.rewrite.rule import bias_of

_NORM = "InstanceNormalization"


@dataclass(frozen=True)
class Statistics:
    """Statistics of what one norm reads.

    Attributes:
        mean: of every channel of every image, [images, channels].
        variance: of the population, [images, channels].
    """

    mean: np.ndarray
    variance: np.ndarray

    def affine(self, scale: np.ndarray, shift: np.ndarray, epsilon: float) -> "Affine":
        """Factor and shift that come closest to the norm, in the mean of squares over all images.

        With m and s^2 the mean and variance of an image and E the mean over images, the
        regression of the normalised (x - m) / s on x has the slope E[s] / (E[s^2] + Var[m]) and
        goes through the point (E[m], 0). Were all images alike, it would be the norm itself.
        """
        spread = np.sqrt(self.variance + epsilon)
        covariance = (self.variance / spread).mean(axis=0)
        whole = self.variance.mean(axis=0) + self.mean.var(axis=0)
        slope = np.divide(covariance, whole, out=np.zeros_like(whole), where=whole > 0)
        factor = scale * slope
        return Affine(factor, shift - factor * self.mean.mean(axis=0))


@dataclass(frozen=True)
class Affine:
    """x * factor + shift, with one number of each per channel."""

    factor: np.ndarray
    shift: np.ndarray


def foldable_norms(proto: onnx.ModelProto) -> list[str]:
    """Names of the norms that can be folded into the layer in front, in the graph's order."""
    graph = Editor(proto)
    return [node.name for node in graph.nodes if _layer_of(graph, node) is not None]


def all_norms(proto: onnx.ModelProto) -> list[str]:
    """Names of all InstanceNorms, foldable or not."""
    return [node.name for node in proto.graph.node if node.op_type == _NORM]


def fold_norm(proto: onnx.ModelProto, name: str, statistics: Statistics) -> onnx.ModelProto:
    """Replace one of the `foldable_norms` by fixed numbers.

    Args:
        proto: the graph; it is not changed.
        name: of the norm.
        statistics: of what the norm reads.

    Returns:
        A new graph, in normal form, without the norm. The layer keeps the names of weights that
        are its own; a bias that it did not have is called "<layer>/b".
    """
    graph = Editor(proto)
    norm = next(node for node in graph.nodes if node.name == name)
    layer = _layer_of(graph, norm)
    assert layer is not None, f"{name} cannot be folded"
    scale, shift = (np.asarray(graph.constant(value), np.float64) for value in norm.input[1:3])
    affine = statistics.affine(scale, shift, attribute(norm, "epsilon", 1e-5))
    weight = graph.constant(layer.input[1])
    bias = bias_of(graph, layer)
    assert weight is not None
    scaled = weight * along_outputs(layer, weight, affine.factor)
    graph.set_constant(layer, 1, scaled.astype(weight.dtype), "w")
    graph.set_constant(layer, 2, (bias * affine.factor + affine.shift).astype(weight.dtype), "b")
    last = graph.maker(norm.input[0])
    assert last is not None
    if last is not layer:
        _rename(graph, layer, f"{norm.output[0]}/uncropped")
    last.output[0] = norm.output[0]
    graph.remove(norm)
    return graph.finish()


def with_statistics(
    proto: onnx.ModelProto, names: list[str]
) -> tuple[onnx.ModelProto, list[tuple[str, str]]]:
    """Let a graph also return the statistics of what some of its norms read.

    Returns:
        The graph, and for each norm the names of two outputs [N, C, 1, ...]: mean and variance.
    """
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graph = result.graph
    types = {value.name: value.type.tensor_type.elem_type for value in proto.graph.value_info}
    sources = {node.name: node.input[0] for node in proto.graph.node}
    found = []
    for name in names:
        stem, source = f"{name}/statistics", sources[name]
        graph.node.extend(
            [
                helper.make_node("GlobalAveragePool", [source], [f"{stem}/mean"]),
                helper.make_node("Sub", [source, f"{stem}/mean"], [f"{stem}/off"]),
                helper.make_node("Mul", [f"{stem}/off", f"{stem}/off"], [f"{stem}/square"]),
                helper.make_node("GlobalAveragePool", [f"{stem}/square"], [f"{stem}/variance"]),
            ]
        )
        outputs = (f"{stem}/mean", f"{stem}/variance")
        graph.output.extend(
            helper.make_tensor_value_info(output, types[source], None) for output in outputs
        )
        found.append(outputs)
    return infer_shapes(result), found


def _layer_of(graph: Editor, norm: NodeProto) -> NodeProto | None:
    """The convolution into which `norm` can be folded; a crop may stand between them.

    None if there is no such layer, if other nodes share its weights, whose statistics may differ,
    or if `norm` is no InstanceNormalization by constants.
    """
    constants = [graph.constant(name) for name in norm.input[1:3]]
    if norm.op_type != _NORM or any(constant is None for constant in constants):
        return None
    value = norm.input[0]
    while (crop := graph.producer(value, "Slice")) and _keeps_channels(graph, crop):
        if graph.sole_reader(value) is None:
            return None
        value = crop.input[0]
    layer = graph.maker(value)
    if layer is None or graph.sole_reader(value) is None:
        return None
    entry = find(layer)
    if not (entry.is_layer and entry.absorbs_affine):
        return None
    weights = [graph.constant(name) for name in layer.input[1:]]
    own = all(graph.sole_reader(name) is not None for name in layer.input[1:2])
    return layer if own and all(weight is not None for weight in weights) else None


def _rename(graph: Editor, layer: NodeProto, name: str) -> None:
    """Give the output of a layer another name: it is another value now."""
    reader = graph.sole_reader(layer.output[0])
    assert reader is not None
    reader.input[0] = name
    layer.output[0] = name


def _keeps_channels(graph: Editor, crop: NodeProto) -> bool:
    before, after = graph.shape(crop.input[0]), graph.shape(crop.output[0])
    steps = graph.constant(crop.input[4]) if len(crop.input) > 4 else np.ones(1)
    known = before is not None and after is not None and before[1] == after[1]
    return known and steps is not None and bool((steps > 0).all())
