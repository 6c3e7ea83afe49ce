"""Choosing the norm of a student to fold next: the one whose time costs the pictures least."""

import math
from collections.abc import Sequence

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.data.ports import output_image
from decig.device.run.device import Device
from decig.graph.cost import count
from decig.graph.model import shapes
from decig.graph.norm_folding import Statistics, fold_norm, with_statistics

_PICTURES = 4
"""Images whose pictures are compared, at most; statistics are measured on all images."""
_MACS = 1e11
"""Multiply-accumulates that comparing may take, some seconds on one core: students that take
longer are compared on fewer images."""


def fold_least(
    proto: onnx.ModelProto, norms: list[str], inputs: Sequence[Feeds], picture: str | None = None
) -> tuple[str, onnx.ModelProto]:
    """Fold the norm without which a graph's pictures change least for the time that it takes.

    The change is the mean of the squared differences; the time is taken to be proportional to the
    number of elements that the norm normalises.

    Args:
        proto: graph in normal form.
        norms: some of its `foldable_norms`.
        inputs: what the graph is fed, one image each.
        picture: name of the output that is the picture; None where only one could be.

    Returns:
        The norm's name and the graph without it.
    """
    statistics = measure_statistics(proto, norms, inputs)
    affordable = int(_MACS / (max(count(proto).macs, 1) * len(norms)))
    shown = inputs[: max(1, min(_PICTURES, affordable))]
    painted = [picture or output_image(proto).name]
    before = Device.for_work().run_over(proto, shown, painted)[0]
    sizes = shapes(proto)
    elements = {n.name: math.prod(sizes[n.output[0]]) for n in proto.graph.node if n.name in norms}
    best: tuple[float, str, onnx.ModelProto] | None = None
    for name in norms:
        folded = fold_norm(proto, name, statistics[name])
        after = Device.for_work().run_over(folded, shown, painted)[0]
        change = float(np.square(after - before).mean()) / elements[name]
        if best is None or change < best[0]:
            best = (change, name, folded)
    assert best is not None, "no norm to choose from"
    return best[1:]


def measure_statistics(
    proto: onnx.ModelProto, norms: list[str], inputs: Sequence[Feeds]
) -> dict[str, Statistics]:
    """Measure what each of some norms sees on real inputs."""
    measured, outputs = with_statistics(proto, norms)
    values = Device.for_work().run_over(
        measured, inputs, [name for pair in outputs for name in pair]
    )
    flat = [value.reshape(*value.shape[:2]).astype(np.float64) for value in values]
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {norm: Statistics(*pair) for norm, pair in zip(norms, pairs, strict=True)}
