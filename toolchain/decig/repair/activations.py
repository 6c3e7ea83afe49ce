"""Values inside a graph, computed piece by piece so that memory stays bounded."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from decig.data.feeds import Feeds
from decig.device.run.device import Device
from decig.device.run.numbers import NoNumbersError, are_numbers, first_without_numbers
from decig.errors import BadInputError
from decig.graph.inference import inputs_of
from decig.graph.model import input_info


class Stream:
    """Runs a graph in node order on a list of inputs and keeps only what is still needed.

    A value lives until its last reader has run, or longer while it is pinned. Weights are read
    when their node runs, so those of nodes that lie ahead may be replaced in `proto`.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        inputs: Sequence[Feeds],
        *,
        pinned: Iterable[str] = (),
    ) -> None:
        """Start before the first node.

        Args:
            proto: graph in normal form.
            inputs: what it takes, by input name; one entry a run.
            pinned: values to keep until `unpin`.

        Raises:
            BadInputError: there is nothing to run on, or it does not fit the graph's inputs.
        """
        self.proto = proto
        self._device = Device.for_work()
        self._pinned = set(pinned)
        self._place = {node.name: index for index, node in enumerate(proto.graph.node)}
        self._next = 0
        _require_fit(proto, inputs)
        names = [value.name for value in proto.graph.input]
        self._inputs, self._runs = inputs, len(inputs)
        self._constants = {tensor.name: tensor for tensor in proto.graph.initializer}
        self._live = {name: [feeds[name] for feeds in inputs] for name in names}
        self._last_read = {
            name: index for index, node in enumerate(proto.graph.node) for name in inputs_of(node)
        }

    def value(self, name: str) -> list[np.ndarray]:
        """A live value, one array a run of the graph; a constant, the same in all.

        Raises:
            KeyError: not computed yet, or dropped.
            NoNumbersError: it holds NaN or infinity; names the first node that computes such.
        """
        if name in self._constants:  # where a net that takes no image begins
            return [numpy_helper.to_array(self._constants[name])] * self._runs
        for feeds, array in zip(self._inputs, self._live[name], strict=True):
            if not are_numbers([array]):
                raise NoNumbersError(
                    f"{first_without_numbers(self.proto, feeds, [name])} from an image: check the "
                    "weights and the input range"
                )
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
        needed = {name for part in piece for name in inputs_of(part)}
        feeds = [name for name in self._live if name in needed]
        model = _extract(self.proto, piece, feeds, made)
        session = self._device.open(model)
        results: dict[str, list[np.ndarray]] = {name: [] for name in made}
        for index in range(self._runs):
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


def run_graph(proto: onnx.ModelProto, inputs: Sequence[Feeds]) -> np.ndarray:
    """First output of a graph for each of the inputs, joined; errors as in `Stream`."""
    _require_fit(proto, inputs)
    return Device.for_work().run_over(proto, inputs)[0]


def _require_fit(proto: onnx.ModelProto, inputs: Sequence[Feeds]) -> None:
    if not inputs:
        raise BadInputError("there are no images to run the model on")
    for info in input_info(proto):
        for feeds in inputs:
            found = list(feeds[info.name].shape)
            if found != info.shape:
                raise BadInputError(f"input {info.name} takes {info.shape} tensors, not {found}")


def _extract(
    proto: onnx.ModelProto, nodes: list[onnx.NodeProto], feeds: list[str], made: list[str]
) -> onnx.ModelProto:
    """Small model of some consecutive nodes."""
    graph = proto.graph
    infos = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    used = {name for node in nodes for name in inputs_of(node)}
    piece = helper.make_graph(
        nodes,
        "piece",
        [infos[name] for name in feeds],
        [infos[name] for name in made],
        [tensor for tensor in graph.initializer if tensor.name in used],
    )
    return helper.make_model(piece, opset_imports=proto.opset_import, ir_version=proto.ir_version)
