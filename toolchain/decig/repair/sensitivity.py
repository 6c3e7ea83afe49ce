"""What the picture loses when one group of channels is narrowed: it makes groups comparable.

The energy that a group's consumers lose tells channels of that group apart, but says little of
what comes through to the picture: half of what is inside a residual block may go nearly unseen
where half of the channels before the head costs every colour.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from decig.data.feeds import Feeds
from decig.data.ports import output_image, paints
from decig.device.run.device import Device
from decig.device.run.numbers import run_to_numbers
from decig.graph.cost import count
from decig.graph.inference import kinds
from decig.graph.model import output_info, shapes
from decig.repair.readers import Reader

_IMAGES = 4
_MACS = 1e12
"""Work that all looks at the picture may cost: half a minute or so on one core."""


class Sensitivity:
    """Runs a graph in which some channels are estimated from the others."""

    def __init__(
        self,
        proto: onnx.ModelProto,
        readers: Sequence[Reader],
        inputs: Sequence[Feeds],
        *,
        groups: int,
        picture: str | None = None,
    ) -> None:
        """Paint the true pictures.

        Args:
            proto: graph in normal form.
            readers: its consumers of channels.
            inputs: what it takes, by input name, for every image.
            groups: how often `error` will be asked; fewer images are looked at if it is often.
            picture: name of the output that is the picture; None where only one could be. Of a
                model that makes no picture, all outputs count.
        """
        self._proto, self._readers = proto, readers
        affordable = int(_MACS / (max(count(proto).macs, 1) * max(groups, 1)))
        images = max(1, min(_IMAGES, affordable))
        self._inputs = inputs[-images:]
        self._kinds = kinds(proto)
        self._rank = {name: len(shape) for name, shape in shapes(proto).items()}
        self._outputs = [picture] if picture is not None else _shown(proto)
        self._pictures = self._paint(proto)

    def error(self, gone: np.ndarray) -> float:
        """Error of the picture without some classes, its readers making up for what they can.

        Args:
            gone: numbers of the classes that are taken away.

        Returns:
            |y - t|^2 + |c(y) - c(t)|^2 over the variance of t, with c(y) = y - mean of y over its
            colours, as in `decig.training.losses.output`: what is grey has nearly all of the
            variance, and alone it would hide the loss of all colour.
        """
        painted = self._paint(self._narrowed(gone))
        pairs = zip(painted, self._pictures, strict=True)
        return float(np.mean([_error(ours, theirs) for ours, theirs in pairs]))

    def _paint(self, proto: onnx.ModelProto) -> list[np.ndarray]:
        """Pictures with their channels last, where that can be told."""
        painted = run_to_numbers(Device.for_work(), proto, self._inputs, self._outputs)
        return [_channels_last(made) for made in painted]

    def _narrowed(self, gone: np.ndarray) -> onnx.ModelProto:
        narrowed = onnx.ModelProto()
        narrowed.CopyFrom(self._proto)
        readers = {(reader.read.node, reader.read.slot): reader for reader in self._readers}
        nodes = []
        for node in self._proto.graph.node:
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            for slot in range(len(node.input)):
                reader = readers.get((node.name, slot))
                if reader is not None and np.isin(reader.labels, gone).any():
                    nodes += self._estimate(narrowed.graph, copied, reader, gone)
            nodes.append(copied)
        del narrowed.graph.node[:]
        narrowed.graph.node.extend(nodes)
        return narrowed

    def _estimate(
        self, graph: onnx.GraphProto, node: onnx.NodeProto, reader: Reader, gone: np.ndarray
    ) -> list[onnx.NodeProto]:
        """Nodes that put x B + c in place of what a node reads; they are wired to its input."""
        source, stem = reader.read.value, f"{node.name}/estimate{reader.read.slot}"
        dtype = helper.tensor_dtype_to_np_dtype(self._kinds[source])
        for what, array in zip("Bc", reader.estimate(np.isin(reader.labels, gone)), strict=True):
            tensor = numpy_helper.from_array(array.astype(dtype), f"{stem}/{what}")
            graph.initializer.append(tensor)
        swap = list(range(self._rank[source]))
        swap[reader.axis], swap[-1] = swap[-1], swap[reader.axis]
        node.input[reader.read.slot] = f"{stem}/out"
        return [
            helper.make_node("Transpose", [source], [f"{stem}/last"], perm=swap),
            helper.make_node("MatMul", [f"{stem}/last", f"{stem}/B"], [f"{stem}/product"]),
            helper.make_node("Add", [f"{stem}/product", f"{stem}/c"], [f"{stem}/sum"]),
            helper.make_node("Transpose", [f"{stem}/sum"], [f"{stem}/out"], perm=swap),
        ]


def _shown(proto: onnx.ModelProto) -> list[str]:
    """Names of the outputs that count: the picture, or all of a model that makes none."""
    if paints(proto, None):
        return [output_image(proto).name]
    return [info.name for info in output_info(proto) if info.dtype.kind in "fV"]


def _channels_last(picture: np.ndarray) -> np.ndarray:
    picture = picture.astype(np.float32, copy=False)
    planar = picture.ndim == 4 and picture.shape[1] <= picture.shape[3]
    return np.moveaxis(picture, 1, -1) if planar else picture


def _error(ours: np.ndarray, theirs: np.ndarray) -> float:
    difference = ours - theirs
    colour = difference - difference.mean(axis=-1, keepdims=True)
    lost = np.square(difference).mean() + np.square(colour).mean()
    return float(lost / max(float(theirs.var()), 1e-12))
