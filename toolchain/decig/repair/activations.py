"""Values inside a graph, computed piece by piece so that memory stays bounded."""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper

from decig.device.session import DeviceOptions, open_session
from decig.errors import BadInputError


class Stream:
    """Runs a graph in node order on a list of inputs and keeps only what is still needed.

    A value lives until its last reader has run, or longer while it is pinned. Weights are read
    when their node runs, so those of nodes that lie ahead may be replaced in `proto`.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        inputs: np.ndarray,
        *,
        threads: int = 1,
        pinned: Iterable[str] = (),
    ) -> None:
        """Start before the first node.

        Args:
            proto: graph in normal form with one input.
            inputs: float32 tensors for it, stacked along the first axis.
            threads: for ONNX Runtime.
            pinned: values to keep until `unpin`.

        Raises:
            BadInputError: the graph has several inputs, or the tensors do not fit its input.
        """
        self.proto = proto
        self._options = DeviceOptions(threads=threads)
        self._pinned = set(pinned)
        self._place = {node.name: index for index, node in enumerate(proto.graph.node)}
        self._next = 0
        self._live = {proto.graph.input[0].name: _batches(proto, inputs)}
        self._last_read = {
            name: index for index, node in enumerate(proto.graph.node) for name in node.input
        }

    def value(self, name: str) -> list[np.ndarray]:
        """A live value, one array a run of the graph.

        Raises:
            KeyError: not computed yet, or dropped.
        """
        return self._live[name]

    def has(self, name: str) -> bool:
        """Whether a value is computed and still kept."""
        return name in self._live

    def unpin(self, names: Iterable[str]) -> None:
        """Let values go once they have no reader ahead."""
        self._pinned.difference_update(names)
        self._forget()

    def advance(self, node: str | None) -> None:
        """Run all nodes before `node`, or the rest of the graph for None."""
        stop = len(self._place) if node is None else self._place[node]
        if stop <= self._next:
            return
        piece = list(self.proto.graph.node)[self._next : stop]
        self._next = stop
        made = [n for part in piece for n in part.output if n and self._needed(n)]
        needed = {name for part in piece for name in part.input}
        feeds = [name for name in self._live if name in needed]
        model = _extract(self.proto, piece, feeds, made)
        session = open_session(model, self._options)
        results: dict[str, list[np.ndarray]] = {name: [] for name in made}
        for index in range(len(next(iter(self._live.values())))):
            out = session.run(made, {name: self._live[name][index] for name in feeds})
            for name, array in zip(made, out, strict=True):
                results[name].append(array)
        self._live |= results
        self._forget()

    def _needed(self, name: str) -> bool:
        outputs = {value.name for value in self.proto.graph.output}
        ahead = self._last_read.get(name, -1) >= self._next
        return ahead or name in self._pinned or name in outputs

    def _forget(self) -> None:
        self._live = {name: value for name, value in self._live.items() if self._needed(name)}


def run_graph(proto: onnx.ModelProto, inputs: np.ndarray, *, threads: int = 1) -> np.ndarray:
    """First output of a graph for stacked inputs; errors as in `Stream`."""
    session = open_session(proto, DeviceOptions(threads=threads))
    name = proto.graph.input[0].name
    return np.concatenate([session.run(None, {name: x})[0] for x in _batches(proto, inputs)])


def _batches(proto: onnx.ModelProto, inputs: np.ndarray) -> list[np.ndarray]:
    """Cut stacked inputs into the batches that the graph takes."""
    if len(proto.graph.input) != 1:
        raise BadInputError("repair feeds images to models of one input; this one has several")
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    shape = tuple(dim.dim_value for dim in dims)
    if inputs.shape[1:] != shape[1:]:
        raise BadInputError(f"the model takes {shape} tensors, the images give {inputs.shape}")
    count = len(inputs) // shape[0]
    if not count:
        raise BadInputError(f"the model takes {shape[0]} images at once, {len(inputs)} are there")
    inputs = np.ascontiguousarray(inputs, np.float32)
    return [inputs[i * shape[0] : (i + 1) * shape[0]] for i in range(count)]


def _extract(
    proto: onnx.ModelProto, nodes: list[onnx.NodeProto], feeds: list[str], made: list[str]
) -> onnx.ModelProto:
    """Small model of some consecutive nodes."""
    graph = proto.graph
    infos = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    used = {name for node in nodes for name in node.input}
    piece = helper.make_graph(
        nodes,
        "piece",
        [infos[name] for name in feeds],
        [infos[name] for name in made],
        [tensor for tensor in graph.initializer if tensor.name in used],
    )
    return helper.make_model(piece, opset_imports=proto.opset_import, ir_version=proto.ir_version)
