"""The graph module at any widths: slim networks that share the weights of one module.

Cai et al., "Once-for-All" (ICLR 2020), section 3.2, and Li et al., "GAN Compression" (CVPR 2020),
section 3.3, train one network whose slim parts are networks too. Channels are ordered by how much
they matter, and a part of some width has the first of them. Weights of a part are gathered from
those of the module at every step, so that gradients reach the module; masks at full width would
take as long as the full network does, whatever they leave.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.fx import GraphModule

from decig.graph.channels import ChannelMap
from decig.graph.plan import Plan
from decig.graph.slicing import axis_masks, slice_graph
from decig.training.trainable.module import (
    build_module,
    parameters_by_initializer,
    tensors_by_initializer,
    with_tensors,
    write_back,
)

Widths = Mapping[str, int]
"""Number of channels by the name of a group; groups that are left out keep all."""


@dataclass(frozen=True)
class _Part:
    """How networks of some widths compute, and which of the module's weights are theirs.

    Attributes:
        module: says how to compute; its own weights are not used, and take no memory.
        kept: by initializer and axis, the indices that stay.
    """

    module: GraphModule
    kept: dict[str, dict[int, Tensor]]


@dataclass
class Elastic:
    """Cuts networks of any widths out of modules of one graph.

    Attributes:
        proto: the graph in normal form, at its full widths.
        channels: its channel groups.
        order: indices into the channels of each group that may be cut, the most important first.
        outputs: names of the values that networks return.
        input_size: height and width at which networks run; None for the declared ones.
    """

    proto: onnx.ModelProto
    channels: ChannelMap
    order: Mapping[str, np.ndarray]
    outputs: list[str]
    input_size: tuple[int, int] | None = None
    _parts: dict[tuple[int, ...], _Part] = field(default_factory=dict, repr=False)

    def plan(self, widths: Widths) -> Plan:
        """Which channels networks of some widths have; the plan names no model."""
        keep = {}
        for group in self.channels.prunable:
            first = self.order[group.name][: widths.get(group.name, group.channels)]
            keep[group.name] = sorted(int(index) for index in first)
        return Plan("", keep)

    def run(
        self, module: GraphModule, widths: Widths, inputs: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Run the part of a module that has some widths, in the module's mode.

        Args:
            module: of the graph, as `build_module` makes it; its parameters get the gradients.
                Running statistics of the module do not change, as they differ between widths.
            widths: of the part. What is built for them is kept, so few different ones should be
                asked for.
            inputs: what the module takes.
        """
        full = parameters_by_initializer(module)
        part = self._part(widths, inputs[0].device, full.keys())
        part.module.train(module.training)
        tensors = {name: _gather(tensor, part.kept.get(name, {})) for name, tensor in full.items()}
        # Whatever is no weight is the part's own: constants may depend on its widths, and running
        # statistics must not follow one batch. Copies, as normalisations update them in place.
        own = tensors_by_initializer(part.module).items()
        copies = {name: tensor.clone() for name, tensor in own if name not in full}
        return with_tensors(part.module, copies | tensors, inputs)

    def cut(self, module: GraphModule, widths: Widths) -> onnx.ModelProto:
        """Return the part of a module that has some widths as a graph of its own."""
        return slice_graph(write_back(module, self.proto), self.channels, self.plan(widths))

    def _part(self, widths: Widths, device: torch.device, shared: Collection[str]) -> _Part:
        key = tuple(widths.get(group.name, group.channels) for group in self.channels.prunable)
        if key not in self._parts:
            plan = self.plan(widths)
            sliced = slice_graph(self.proto, self.channels, plan)
            module = build_module(sliced, self.outputs, self.input_size).to(device)
            masks = axis_masks(self.channels, plan)
            kept = {
                name: {axis: _indices(mask, device) for axis, mask in axes.items()}
                for name, axes in masks.items()
            }
            for name, parameter in parameters_by_initializer(module).items():
                if name in shared:
                    parameter.data = parameter.data.new_empty(0)
            self._parts[key] = _Part(module, kept)
        return self._parts[key]


def _indices(mask: np.ndarray, device: torch.device) -> Tensor:
    return torch.as_tensor(np.flatnonzero(mask), device=device)


def _gather(tensor: Tensor, kept: Mapping[int, Tensor]) -> Tensor:
    """Take indices along axes."""
    for axis, indices in kept.items():
        tensor = tensor.index_select(axis, indices)
    return tensor
