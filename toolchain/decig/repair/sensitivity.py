"""What the picture loses when one group of channels is narrowed: it makes groups comparable.

The energy that a group's consumers lose tells channels of that group apart, but says little of
what comes through to the picture: half of what is inside a residual block may go nearly unseen
where half of the channels before the head costs every colour.
"""

from collections.abc import Sequence

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.data.ports import output_image, paints
from decig.device.run.device import Device
from decig.device.run.numbers import are_numbers, no_numbers
from decig.device.run.runs import run_all
from decig.graph.cost import count
from decig.graph.model import output_info
from decig.repair.estimates import Estimate, with_estimates
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

        Raises:
            NoNumbersError: the whole graph paints NaN or infinity; names the node that does.
        """
        affordable = int(_MACS / (max(count(proto).macs, 1) * max(groups, 1)))
        images = max(1, min(_IMAGES, affordable))
        self._inputs = inputs[-images:]
        self._estimates = [Estimate(reader) for reader in readers]
        self._outputs = [picture] if picture is not None else _shown(proto)
        self._session = Device.for_work().open(with_estimates(proto, self._estimates))
        self._pictures = self._paint(np.zeros(0, int))
        if not are_numbers(self._pictures):
            raise no_numbers(proto, self._inputs, self._outputs)

    def error(self, gone: np.ndarray) -> float:
        """Error of the picture without some classes, its readers making up for what they can.

        Args:
            gone: numbers of the classes that are taken away.

        Returns:
            |y - t|^2 + |c(y) - c(t)|^2 over the variance of t, with c(y) = y - mean of y over its
            colours, as in `decig.training.losses.output`: what is grey has nearly all of the
            variance, and alone it would hide the loss of all colour. A graph that overflows
            without these channels has lost the picture: as if it painted the negative.
        """
        pairs = zip(self._paint(gone), self._pictures, strict=True)
        return float(np.mean([_error(ours, theirs) for ours, theirs in pairs]))

    def _paint(self, gone: np.ndarray) -> list[np.ndarray]:
        """Pictures without some classes, with their channels last, where that can be told."""
        told = {name: a for part in self._estimates for name, a in part.feeds(gone).items()}
        inputs = [{**feeds, **told} for feeds in self._inputs]
        return [_channels_last(made) for made in run_all(self._session, inputs, self._outputs)]


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
    if not are_numbers([ours]):
        ours = 2 * theirs.mean() - theirs
    difference = ours - theirs
    colour = difference - difference.mean(axis=-1, keepdims=True)
    lost = np.square(difference).mean() + np.square(colour).mean()
    return float(lost / max(float(theirs.var()), 1e-12))
