"""How much each channel matters on real inputs, and what a group loses as it narrows.

The weights that stay are solved anew after slicing (`decig.repair.repair`), so a channel matters
by what the others cannot make up for, not by its own size. Inside a group that orders the
channels; between groups, what counts is the picture (`decig.repair.sensitivity`).
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.graph.channels import ChannelMap, Group
from decig.graph.draws import draws, pin
from decig.repair.elimination import Elimination
from decig.repair.readers import Reader, find_readers
from decig.repair.sensitivity import Sensitivity

_PROBE = 4
"""The picture is looked at when one channel of so many is left to a group."""


class Importance:
    """Importance of the channels of every prunable group.

    The channels of each group are taken away one by one, the cheapest first. Every consumer's
    output energy counts one, as most are normalised after; taps of a kernel are treated as
    independent.

    Attributes:
        order: channel indices by group, the most important first.
    """

    def __init__(
        self,
        proto: onnx.ModelProto,
        channels: ChannelMap,
        inputs: Sequence[Feeds],
        picture: str | None = None,
    ) -> None:
        """Order the channels.

        Args:
            proto: graph in normal form.
            channels: its channel groups.
            inputs: what it takes, by input name, for every image.
            picture: name of the output that is the picture; None where only one could be.

        Raises:
            BadInputError: there are none, or they do not fit the graph.
        """
        self._proto, self._inputs = pin(proto, draws(proto)), inputs
        self._picture = picture
        self._groups = channels.prunable
        self._readers = find_readers(self._proto, channels, inputs)
        self.order: dict[str, np.ndarray] = {}
        self._energy: dict[str, np.ndarray] = {}  # lost if the k best are kept, by k
        for group in self._groups:
            mine = [r for r in self._readers if np.isin(r.labels, group.classes).any()]
            self.order[group.name], lost = eliminate(group, mine)
            self._energy[group.name] = lost / max(len(mine), 1)

    @cached_property
    def loss(self) -> dict[str, np.ndarray]:
        """What is lost, by group, if the k best channels are kept, for k = 0 to all.

        A group that leaves its consumers the share s_k of their energy has

            loss_k = -a log s_k

        with a chosen so that at a quarter of its channels this is the error of the picture when
        that group alone is narrowed. So it can be compared between groups. It does not grow with
        k and ends at 0.

        (Without the measured a, the plan for udnie at 6 times the speed keeps what is inside the
        residual blocks, which the picture hardly needs, and starves stem and head.)
        """
        picture = Sensitivity(
            self._proto,
            self._readers,
            self._inputs,
            groups=len(self._groups),
            picture=self._picture,
        )
        loss = {}
        for group in self._groups:
            share = np.clip(1.0 - self._energy[group.name], 1e-9, 1.0)
            curve = np.maximum.accumulate(-np.log(share)[::-1])[::-1]
            quarter = max(1, group.channels // _PROBE)
            error = picture.error(group.classes[self.order[group.name][quarter:]])
            loss[group.name] = curve * (error / max(curve[quarter], 1e-12))
        return loss


def eliminate(group: Group, readers: list[Reader]) -> tuple[np.ndarray, np.ndarray]:
    """Order of a group's channels, best first, and the energy lost when k of them stay."""
    place = {int(label): index for index, label in enumerate(group.classes)}
    views = [Elimination(reader, group.classes) for reader in readers]
    rows = [np.array([place[int(label)] for label in view.labels], int) for view in views]
    alive = np.ones(group.channels, bool)
    gone: list[int] = []
    lost = np.zeros(group.channels + 1)
    for kept in range(group.channels - 1, -1, -1):
        price = np.zeros(group.channels)
        for view, mine in zip(views, rows, strict=True):
            np.add.at(price, mine, view.price())
        worst = int(np.argmin(np.where(alive, price, np.inf)))
        alive[worst] = False
        gone.append(worst)
        lost[kept] = lost[kept + 1] + price[worst]
        for view in views:
            view.drop(int(group.classes[worst]))
    return np.array(gone[::-1]), lost
