"""Closed-form repair: re-solve a sliced graph's weights, layer by layer, without training.

Each convolution, transposed convolution or Gemm gets the weights that bring it closest to what
the original gives on real inputs, reading what the layers before it, already repaired, give now;
the scale and shift of an InstanceNormalization behind it are fitted after it. The last layer
counts each position by how much the picture moves there. (Reconstruction
layer by layer: He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017,
section 3.1.) Carrying the error of a residual trunk into the targets of its branches was tried and
gave nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from decig.graph.channels import ChannelMap
from decig.graph.flow import attributes
from decig.graph.model import initializers, replace_initializers, shapes
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.repair.activations import Stream
from decig.repair.sensitivity import finish, sensitivity
from decig.repair.solve import Regression, as_matrix, from_matrix
from decig.repair.tail import Tail, tails
from decig.repair.taps import columns, geometry

_LAYERS = ("Conv", "ConvTranspose", "Gemm")
_SAMPLES = 1024  # positions of an image that a layer is fitted to, at most
_BUDGET = 45e6  # numbers in one layer's matrix of inputs, at most


def repair(
    proto: onnx.ModelProto,
    channels: ChannelMap,
    plan: Plan,
    inputs: np.ndarray,
    *,
    ridge: float = 0.03,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> onnx.ModelProto:
    """Slice a graph and re-solve the weights that stay.

    Args:
        proto: the original, in normal form with one input.
        channels: its channel groups.
        plan: what stays.
        inputs: float32 tensors for the graph's input, stacked along the first axis.
        ridge: pull towards the sliced weights, as a share of the inputs' energy. A strong one
            is needed: errors of the layers before correlate with what is left of the inputs.
        threads: for ONNX Runtime.
        progress: told the share of layers that are done.

    Returns:
        The sliced graph; grouped convolutions and layers without constant weights keep theirs.

    Raises:
        BadInputError: the graph has several inputs, or the tensors do not fit.
    """
    job = _Repair(proto, channels, plan, inputs, ridge, threads)
    layers = [node for node in proto.graph.node if job.can_solve(node)]
    for done, node in enumerate(layers):
        progress(done / len(layers))
        job.layer(node)
    return job.sliced


@dataclass(frozen=True)
class _Sample:
    """What a layer reads now and gave in the original, at random positions of every image.

    Attributes:
        source: inputs, [images, positions, features].
        target: outputs of the original, [images, positions, channels].
        end: the same behind the layer's tail.
        weight: how much the picture moves with the layer, [images, positions, 1], in the last one.
        mean: of the original's outputs over the whole image, [images, 1, channels].
        spread: their standard deviation, likewise.
    """

    source: np.ndarray
    target: np.ndarray
    end: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    weight: np.ndarray | None


class _Repair:
    """Both graphs, running side by side."""

    def __init__(
        self,
        proto: onnx.ModelProto,
        channels: ChannelMap,
        plan: Plan,
        inputs: np.ndarray,
        ridge: float,
        threads: int,
    ) -> None:
        self.sliced = slice_graph(proto, channels, plan)
        self._proto, self._channels, self._ridge = proto, channels, ridge
        self._removed = channels.removed(plan)
        self._weights = initializers(self.sliced)
        self._shapes = shapes(self.sliced)
        self._tails = tails(proto)
        self._order = [node.name for node in proto.graph.node]
        solved = [node for node in proto.graph.node if self.can_solve(node)]
        ends = {node.name: self._tails[node.name] for node in solved}
        wanted = {node.output[0] for node in solved} | {tail.value for tail in ends.values()}
        self._teacher = Stream(proto, inputs, threads=threads, pinned=wanted)
        self._student = Stream(self.sliced, inputs, threads=threads)
        self._rng = np.random.default_rng(0)

    def can_solve(self, node: onnx.NodeProto) -> bool:
        """Whether a node is a layer with constant weights and one group."""
        plain = node.op_type in _LAYERS and attributes(node).get("group", 1) == 1
        known = plain and node.input[1] in self._weights and node.output[0] in self._shapes
        options = attributes(node) if known else {}
        return known and not options.get("transA") and options.get("alpha", 1.0) == 1.0

    def layer(self, node: onnx.NodeProto) -> None:
        """Solve one layer and put its weights into the sliced graph."""
        tail = self._tails[node.name]
        self._student.advance(node.name)
        after = self._order.index(tail.last) + 1
        self._teacher.advance(self._order[after] if after < len(self._order) else None)
        before = as_matrix(node, self._weights[node.input[1]])
        sample = self._sample(node, tail, len(before))
        instance = tail.norm is not None and tail.norm.op_type == "InstanceNormalization"
        regression = Regression(sample.source, before, self._ridge, instance, sample.weight)
        matrix = regression.fit(sample.target)
        missed = (sample.target - sample.source @ matrix).mean(axis=(0, 1))
        self._store(node, tail, matrix, missed)
        if instance and tail.norm is not None:
            self._fit_affine(tail.norm, regression.centred @ matrix, sample)
        self._teacher.unpin({node.output[0], tail.value})

    def _sample(self, node: onnx.NodeProto, tail: Tail, features: int) -> "_Sample":
        """Look at a layer at random positions of every image."""
        sources = self._student.value(node.input[0])
        outputs, ends = self._teacher.value(node.output[0]), self._teacher.value(tail.value)
        weight = self._weights[node.input[1]].shape
        layout = geometry(node, sources[0].shape, weight, outputs[0].shape)
        whole, cropped = outputs[0].shape[2:], ends[0].shape[2:]
        room = int(np.prod(cropped))
        count = int(min(_SAMPLES, room, max(1, _BUDGET / features / len(sources))))
        kept = self._kept(node.output[0], outputs[0].shape[1])
        rows: list[tuple[np.ndarray, ...]] = []
        finishing = finish(self._proto, tail.value)
        moves = None if finishing is None else sensitivity(finishing, ends)
        for index, (source, output, end) in enumerate(zip(sources, outputs, ends, strict=True)):
            inside = np.sort(self._rng.choice(room, count, replace=False))
            places = inside
            if whole != cropped:  # positions of the tail, counted in the layer's own output
                places = np.ravel_multi_index(np.unravel_index(inside, cropped), whole)
            for item in range(len(source)):
                read = columns(source[item], layout.taps(places)).reshape(count, -1)
                made = output[item][kept][(..., *map(slice, cropped))].reshape(len(kept), -1)
                ends_here = end[item][kept].reshape(len(kept), -1)[:, inside].T
                stats = made.mean(1)[None], made.std(1)[None]
                rows.append((read, made[:, inside].T, ends_here, *stats))
                rows[-1] += () if moves is None else (moves[index][item, inside, None],)
        stacks = [np.stack(part).astype(np.float32) for part in zip(*rows, strict=True)]
        moving = None if moves is None else stacks.pop()
        read, made, ended, mean, spread = stacks
        return _Sample(read, made, ended, mean, spread, moving)

    def _kept(self, value: str, count: int) -> np.ndarray:
        """Indices of a value's channels that stay."""
        ids = self._channels.ids_of(value)
        if ids is None or ids.size == 1:
            return np.arange(count)
        return np.flatnonzero(~self._removed[ids.ravel()])

    def _fit_affine(self, norm: onnx.NodeProto, given: np.ndarray, sample: "_Sample") -> None:
        """Fit gamma and beta to what the original's norm gives, by least squares a channel.

        n = (given - mean) / s over each image; gamma = cov(n, wanted) / var(n). Mean and s are
        known at the sample only: how far the original's sample is off its image corrects them.
        """
        epsilon = attributes(norm).get("epsilon", 1e-5)
        spread = sample.target.std(axis=1, keepdims=True)
        scale = np.clip(sample.spread / np.maximum(spread, 1e-6), 0.5, 2.0)
        s = given.std(axis=1, keepdims=True) * scale
        offset = sample.mean - sample.target.mean(axis=1, keepdims=True)
        centred = given - offset * s / np.maximum(sample.spread, 1e-6)
        n = centred / np.sqrt(np.square(s) + epsilon)
        weight = np.ones((*n.shape[:2], 1)) if sample.weight is None else sample.weight
        mean, wanted = (
            np.average(v, (0, 1), np.broadcast_to(weight, v.shape)) for v in (n, sample.end)
        )
        product = weight * (n - mean) * (sample.end - wanted)
        square = weight * np.square(n - mean)
        gamma = product.sum(axis=(0, 1)) / np.maximum(square.sum(axis=(0, 1)), 1e-6)
        pair = zip(norm.input[1:3], (gamma, wanted - gamma * mean), strict=True)
        new = {name: array.astype(np.float32) for name, array in pair if name in self._weights}
        replace_initializers(self.sliced, new)
        self._weights |= new

    def _store(
        self, node: onnx.NodeProto, tail: Tail, matrix: np.ndarray, offset: np.ndarray
    ) -> None:
        """Write weights, and the mean that they miss into the bias or the BatchNorm's mean."""
        name = node.input[1]
        new = {name: from_matrix(node, matrix, self._weights[name])}
        bias = node.input[2] if len(node.input) > 2 else ""
        if bias in self._weights:
            like = self._weights[bias]
            new[bias] = np.broadcast_to(offset, like.shape).astype(like.dtype)
        elif tail.norm is not None and tail.norm.op_type == "BatchNormalization":
            mean = tail.norm.input[3]
            new[mean] = (self._weights[mean] - offset).astype(np.float32)
        replace_initializers(self.sliced, new)
        self._weights |= new
