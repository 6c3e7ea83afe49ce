"""Closed-form repair: re-solve a sliced graph's weights, layer by layer, without training.

Each convolution, transposed convolution or Gemm gets the weights that bring the value at the end of
its tail (behind the normalisation and the residual sum, see `decig.repair.tail`) closest to the
original's on real inputs, reading what the layers before it, already repaired, give now. After
He et al., "Channel Pruning for Accelerating Very Deep Neural Networks" (ICCV 2017, section 3.1),
and, for what a rectifier hides, Zhang et al., "Accelerating Very Deep Convolutional Networks for
Classification and Detection" (TPAMI 2016, section 3.2). `match` says what is added.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.device.run.numbers import are_numbers
from decig.errors import DecigError
from decig.graph.channels import ChannelMap
from decig.graph.draws import draws, kept_draws, pin
from decig.graph.flow import attributes
from decig.graph.model import initializers, replace_initializers, shapes
from decig.graph.operators import find
from decig.graph.plan import Plan
from decig.graph.rules.normalisation import uses_batch_statistics
from decig.graph.sharing import shared
from decig.graph.slicing import slice_graph
from decig.repair.activations import Stream
from decig.repair.match import match
from decig.repair.offsets import BatchNorm, InstanceNorm, Offset
from decig.repair.sample import Sample, take_sample
from decig.repair.solve import as_matrix, features, from_matrix
from decig.repair.tail import Tail, tails, way_out
from decig.repair.taps import geometry


def repair(
    proto: onnx.ModelProto,
    channels: ChannelMap,
    plan: Plan,
    inputs: Sequence[Feeds],
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> onnx.ModelProto:
    """Slice a graph and re-solve the weights that stay.

    Args:
        proto: the original, in normal form.
        channels: its channel groups.
        plan: what stays.
        inputs: what the graph takes, by input name, for every image. The more of them the better,
            up to 32 or so: images differ more than positions do.
        progress: told the share of layers that are done.

    Returns:
        The sliced graph. Grouped convolutions, layers without constant weights, those that share
        weights with others, or a norm behind them, and those before the first one that reads fewer
        channels keep their weights.

    Raises:
        BadInputError: there are none, they do not fit the graph, or it computes NaN or infinity
            from them; names the first node that does.
        DecigError: the solved weights of a layer are no numbers; names the layer.
    """
    job = _Repair(proto, channels, plan, inputs)
    layers = job.layers()
    for done, node in enumerate(layers):
        progress(done / len(layers))
        job.layer(node)
    progress(1.0)
    return job.sliced


class _Repair:
    """Both graphs, running side by side; if they draw random numbers, on the same ones."""

    def __init__(
        self,
        proto: onnx.ModelProto,
        channels: ChannelMap,
        plan: Plan,
        inputs: Sequence[Feeds],
    ) -> None:
        self.sliced = slice_graph(proto, channels, plan)
        self._proto, self._channels = proto, channels
        self._removed = channels.removed(plan.keep)
        self._original = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
        self._weights = initializers(self.sliced)
        self._shapes = shapes(proto)
        self._tails = tails(proto)
        self._shared = shared(proto.graph)
        self._order = [node.name for node in proto.graph.node]
        ends = [(node, self._tails[node.name]) for node in self.layers()]
        wanted = {name for node, tail in ends for name in (node.output[0], tail.value)}
        given = draws(proto)
        self._teacher = Stream(pin(proto, given), inputs, pinned=wanted)
        self._running = pin(self.sliced, kept_draws(proto, channels, plan.keep, given))
        skips = {tail.skip for _, tail in ends if tail.skip}
        self._student = Stream(self._running, inputs, pinned=skips)
        self._rng = np.random.default_rng(0)

    def layers(self) -> list[onnx.NodeProto]:
        """Layers to solve, from the first one that reads fewer channels than in the original."""
        solvable = [node for node in self._proto.graph.node if self._can_solve(node)]
        narrowed = [
            features(node, self._weights[node.input[1]].shape)
            < features(node, self._original[node.input[1]])
            for node in solvable
        ]
        return solvable[narrowed.index(True) :] if any(narrowed) else []

    def _can_solve(self, node: onnx.NodeProto) -> bool:
        options = attributes(node)
        entry = find(node)
        plain = entry.is_layer and entry.absorbs_affine and options.get("group", 1) == 1
        known = plain and node.input[1] in self._weights and node.output[0] in self._shapes
        bias = node.input[2] if known and len(node.input) > 2 else ""
        norm = self._tails[node.name].norm if known else None
        solved = {*node.input[1:], *(norm.input[1:] if norm is not None else ())}
        return (
            known
            and self._shared.isdisjoint(solved)
            and not options.get("transA")
            and options.get("alpha", 1.0) == options.get("beta", 1.0) == 1.0
            and (not bias or self._is_vector(bias))
        )

    def _is_vector(self, name: str) -> bool:
        return name in self._weights and self._weights[name].ndim == 1

    def layer(self, node: onnx.NodeProto) -> None:
        """Solve one layer and put its weights into the sliced graph."""
        tail = self._tails[node.name]
        self._student.advance(node.name)
        after = self._order.index(tail.last) + 1
        self._teacher.advance(self._order[after] if after < len(self._order) else None)
        before = as_matrix(node, self._weights[node.input[1]])
        sample = self._sample(node, tail)
        offset = self._offset(node, tail, sample, before.shape[1])
        out = way_out(self._proto, tail.value)
        matrix, mean = match(sample, before, offset, rectified=tail.rectified, out=out)
        new = {node.input[1]: from_matrix(node, matrix, self._weights[node.input[1]])}
        for name, array in offset.stored(mean).items():
            new[name] = array.astype(self._weights[name].dtype)
        if not are_numbers(new.values()):
            raise DecigError(f"repair: the solved weights of {node.name} are no numbers")
        replace_initializers(self.sliced, new)
        if self._running is not self.sliced:
            replace_initializers(self._running, new)
        self._weights |= new
        self._teacher.unpin({node.output[0], tail.value})

    def _sample(self, node: onnx.NodeProto, tail: Tail) -> Sample:
        source = self._student.value(node.input[0])
        output, end = (self._teacher.value(name) for name in (node.output[0], tail.value))
        skip = self._student.value(tail.skip) if tail.skip else None
        weight = self._weights[node.input[1]].shape
        layout = geometry(node, source[0].shape, weight, output[0].shape)
        kept = self._kept(node.output[0])
        return take_sample(layout, source, output, end, skip, kept, self._rng)

    def _kept(self, value: str) -> np.ndarray:
        """Indices of a value's channels that stay."""
        ids = self._channels.ids_of(value)
        if ids is None or ids.size == 1:
            return np.arange(self._shapes[value][1])
        return np.flatnonzero(~self._removed[ids.ravel()])

    def _offset(self, node: onnx.NodeProto, tail: Tail, sample: Sample, outputs: int) -> Offset:
        bias = node.input[2] if len(node.input) > 2 else None
        norm = tail.norm
        if norm is None:
            return Offset(bias or None, self._weights, outputs)
        if norm.op_type == "BatchNormalization" and not uses_batch_statistics(norm):
            own = self._weights[bias] if bias else 0.0
            return BatchNorm(norm, self._weights, outputs, own)
        return InstanceNorm(norm, self._weights, outputs, sample)
