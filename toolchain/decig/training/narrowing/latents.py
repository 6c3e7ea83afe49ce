"""Weights made from a latent number per channel; numbers that reach zero take their channel away.

CoroNet-GAN (arXiv 2403.08261) compresses generators with the differentiable pruning of Li et al.,
"DHP: Differentiable Meta Pruning via HyperNetworks" (ECCV 2020), section 3: a latent vector per
layer says which channels there are, and the weights of a convolution are made from the vectors of
its input and its output. Here channels that must go together share a number, whatever lies between
them (residual sums, concatenations, pixel shuffles), as they are one channel group, and

    W = V * outer(z_write, z_read)

with V trained too. Latents begin with how much their channels matter within their group, around 1
(`first_latents`), and V makes up for that, so the first W are exactly the teacher's. After every
step of the optimiser comes the proximal step of DHP's equation 9,

    z <- sign(z) max(|z| - rate s_g / a_g, 0)

in which s_g follows from the time on the device that a channel of group g saves, down to the next
stair of the device's latency, and a_g from how much the channels of the group matter. (All latents
at 1 and shrinking by the time saved alone starved the groups whose channels take longest, at the
stem and the head.) A channel is gone once nothing reads it: z_write alone would not do, as a
normalisation behind the layer undoes it.

How much a group matters is not for its latents to learn: V can take any factor of them. Left to the
optimiser, all latents of a group drift up or down together, by steps whose size has nothing to do
with a_g, and whole groups are starved or spared by that. So before the proximal step the latents of
a group are scaled back to the sum that they had after the one before: the optimiser says which
channels matter within a group. As in DHP, a share of each group stays whatever its latents say.

With an `embedding`, V is made by hypernetworks (`decig.training.narrowing.hypernetworks`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from decig.graph.channels import ChannelMap, Group
from decig.training.compression.planner import Scores
from decig.training.narrowing.hypernetworks import Hypernetworks, kernels_of
from decig.training.trainable.module import (
    parameters_by_initializer,
    tensors_by_initializer,
    with_tensors,
    write_back,
)

_LEAST = 0.01
"""Least `first_latents` of a channel; that of the channel that matters most is 1."""
_LEAST_IN_GROUP = 0.1
"""Least latent at the beginning, as a share of the mean of its group: V is divided by it."""
POWER = 0.25
"""Losses and savings are taken to this power, as losses spread over many orders of magnitude and
weights must not. A channel then goes where its loss per time saved is least."""
_TINY = 1e-12
"""Least sum of latents that is divided by."""


class LatentModule(nn.Module):
    """A graph module whose weights are multiplied by the latent numbers of their channels.

    Attributes:
        net: computes; its parameters are V.
        latents: z of all groups that have latents, one behind the other, around 1.
        strength: a_g, how much the channels of each group matter, by its name.
        sums: of the latents' sizes, by group, as the last proximal step left them.
        hypernetworks: make V of the weights that have latents on both sides; None where V is
            trained as it is.
    """

    sums: Tensor

    def __init__(
        self,
        net: GraphModule,
        channels: ChannelMap,
        first: Mapping[str, np.ndarray],
        *,
        embedding: int = 0,
        seed: int = 0,
    ) -> None:
        """Give latents to every group that only weights read.

        Args:
            net: of a graph, as `decig.training.trainable.module.build_module` makes it. Its
                parameters are changed, so that the weights made are what they were.
            channels: the graph's channel groups.
            first: how much channels matter, by group and channel, all above 0; latents begin
                with this, divided by the mean of their group.
            embedding: size of the embeddings of hypernetworks; 0 trains V as it is.
            seed: of the hypernetworks' first weights.
        """
        super().__init__()
        self.net = net
        groups = [group for group in channels.prunable if _read_by_weights(channels, group)]
        sizes = np.cumsum([0, *(group.channels for group in groups)])
        self.latents = nn.Parameter(torch.ones(int(sizes[-1])))
        self._slices = {
            group.name: slice(int(begin), int(end))
            for group, begin, end in zip(groups, sizes[:-1], sizes[1:], strict=True)
        }
        place = np.full(channels.class_count, int(sizes[-1]))  # behind the last one stands a 1
        for group in groups:
            place[group.classes] = np.arange(sizes[-1])[self._slices[group.name]]
        self._factors: list[tuple[str, str, str]] = []
        for number, binding in enumerate(channels.bindings):
            indices = place[channels.classes_of(binding.ids)]
            if binding.role in ("write", "read") and (indices < sizes[-1]).any():
                name = f"_indices_{number}"
                self.register_buffer(name, torch.as_tensor(indices), persistent=False)
                self._factors.append((binding.initializer, binding.role, name))
        self.strength = {name: float(np.mean(first[name])) for name in self._slices}
        for name, latents in self.by_group().items():
            relative = np.asarray(first[name]) / self.strength[name]
            latents.copy_(torch.as_tensor(np.maximum(relative, _LEAST_IN_GROUP)))
        self.register_buffer("sums", torch.zeros(len(groups)))
        self.note_sums()
        self.hypernetworks: Hypernetworks | None = None
        self._divide()
        if embedding:
            self.hypernetworks = self._make_hypernetworks(embedding, seed)

    @torch.no_grad()
    def _divide(self) -> None:
        """Make V of the net's weights: divide them by what latents multiply them by."""
        known, made = tensors_by_initializer(self.net), self.weights()
        for name, weight in made.items():
            before = known[name].clone()
            known[name].div_((weight / before).where(before != 0, 1.0))

    def _make_hypernetworks(self, embedding: int, seed: int) -> Hypernetworks:
        """Let hypernetworks make the V of weights that have latents on both sides."""
        axes = kernels_of(self.net, self._factors, self.get_buffer)
        known = parameters_by_initializer(self.net)
        for name in axes:
            known[name].requires_grad_(False)  # it is made, and not trained itself
        return Hypernetworks(
            {n: (known[n].data, each) for n, each in axes.items()}, embedding, seed
        )

    @torch.no_grad()
    def note_sums(self) -> None:
        """Take the latents of every group as they are for those that it is scaled back to."""
        for place, latents in enumerate(self.by_group().values()):
            self.sums[place] = latents.abs().sum()

    @torch.no_grad()
    def scale_back(self) -> None:
        """Scale the latents of every group back to the sum that was noted."""
        for place, latents in enumerate(self.by_group().values()):
            latents.mul_(self.sums[place] / latents.abs().sum().clamp_min(_TINY))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the net with the weights that V and the latents make."""
        return with_tensors(self.net, self.weights(), inputs)

    def weights(self) -> dict[str, Tensor]:
        """W of every initializer that a latent changes, by its name."""
        known = tensors_by_initializer(self.net)
        read = torch.cat([self.latents, self.latents.new_ones(1)])
        # What nobody reads may be anything but no number, which times 0 is no number either: a
        # modulated convolution divides by the norm of its weights.
        write = read.where(read != 0, 1.0)
        made: dict[str, Tensor] = self.hypernetworks() if self.hypernetworks is not None else {}
        for name, role, indices in self._factors:
            if name in known:
                factor = (read if role == "read" else write)[getattr(self, indices)]
                made[name] = made.get(name, known[name]) * factor
        return made

    def by_group(self) -> dict[str, Tensor]:
        """The latents of every group that has some; changes of them are changes of `latents`."""
        return {name: self.latents.data[part] for name, part in self._slices.items()}

    @torch.no_grad()
    def settle(self, mean: "LatentModule") -> None:
        """Make zero in a running mean what is zero here, as it is still on its way there."""
        mean.latents.data[self.latents == 0] = 0

    def scores(self) -> dict[str, np.ndarray]:
        """How much channels matter, a_g z, by group."""
        return {n: z.cpu().numpy() * self.strength[n] for n, z in self.by_group().items()}

    def graph(self, proto: onnx.ModelProto) -> onnx.ModelProto:
        """Write the weights that V and the latents make into the graph of the net."""
        known = tensors_by_initializer(self.net)
        before = {name: known[name].data for name in self.weights()}
        with torch.no_grad():
            for name, made in self.weights().items():
                known[name].data = made
        try:
            return write_back(self.net, proto)
        finally:
            for name, tensor in before.items():
                known[name].data = tensor


def first_latents(scores: Scores, kept: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """How much channels matter, for those that a plan leaves of each group.

    Each is what is lost with the channel, when all more important ones of its group stay, relative
    to the greatest such loss of all groups, and taken to `POWER`.

    Args:
        scores: of all channels, before the plan.
        kept: indices of the channels that stay, ascending, by group.
    """
    lost = {}
    for name, order in scores.order.items():
        lost[name] = np.empty(len(order))
        lost[name][order] = -np.diff(scores.loss[name])
    most = max(float(values.max()) for values in lost.values())
    return {
        name: np.clip((lost[name][list(indices)] / most) ** POWER, _LEAST, 1.0)
        for name, indices in kept.items()
    }


class LatentScores:
    """How much channels matter by a_g z (see `decig.training.compression.planner.Scores`).

    A group that has no latents loses much with every channel, so that planning leaves it alone.

    Attributes:
        order: channel indices by group, the most important first.
        loss: what a group loses, if its k best channels stay, for k = 0 to all: the sum over the
            other channels, whose a_g z began as losses to the power of `POWER`, to its inverse.
    """

    def __init__(self, latents: Mapping[str, np.ndarray], channels: ChannelMap) -> None:
        """Sort the channels of every group that may be cut."""
        self.order: dict[str, np.ndarray] = {}
        self.loss: dict[str, np.ndarray] = {}
        for group in channels.prunable:
            size = np.abs(latents.get(group.name, np.ones(group.channels)))
            self.order[group.name] = np.argsort(-size, kind="stable")
            rest = np.cumsum(np.sort(size ** (1 / POWER)))[::-1]  # of the k-th best on
            self.loss[group.name] = np.append(rest, 0.0)


def _read_by_weights(channels: ChannelMap, group: Group) -> bool:
    """Whether the channels of a group are read by weights, and by nothing else."""
    bound = {b.node for b in channels.bindings if b.role == "read"}
    mixing = [r for r in channels.reads if np.isin(channels.classes_of(r.ids), group.classes).any()]
    return bool(mixing) and all(read.node in bound for read in mixing)
