"""Running statistics of a graph whose weights changed without them.

Yu and Huang, "Universally Slimmable Networks" (ICCV 2019), section 3.2: slim networks of one
supernet see other statistics at every width, so those are measured once a network is chosen, from
nothing and with the same weight for every image.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from torch.fx import GraphModule

from decig.data.feeds import Feeds
from decig.graph.model import initializers, replace_initializers
from decig.graph.rules.normalisation import uses_batch_statistics
from decig.training.trainable.module import build_module, takes_batches, write_back

_TOGETHER = 8
"""Images in a batch, whose statistics are taken over all of them. More would need more memory."""


def recalibrated(proto: onnx.ModelProto, inputs: Sequence[Feeds]) -> onnx.ModelProto:
    """Return a graph with running statistics of real inputs.

    The mean and the variance of all values that a norm reads, but for one thing: each norm in front
    of it normalises a batch by the batch's own statistics, not by those of all images.

    Args:
        proto: the graph in normal form. It is returned as it is where no BatchNormalization has
            running statistics.
        inputs: what the graph takes, one image each, at least one. Those that a last batch would
            have too few of are left out.
    """
    forgetful = onnx.ModelProto()
    forgetful.CopyFrom(proto)
    norms = [each for each in forgetful.graph.node if _runs(each)]
    if not norms:
        return proto
    for norm in norms:
        _forget(norm)
    module = build_module(forgetful).train()
    together = takes_batches(module) and all(array.ndim > 1 for array in inputs[0].values())
    size = min(_TOGETHER, len(inputs)) if together else 1
    batches = [inputs[at : at + size] for at in range(0, len(inputs) - size + 1, size)]
    found = [_statistics(module, forgetful, batch) for batch in batches]
    new: dict[str, np.ndarray] = {}
    for norm in norms:
        means, variances = (np.stack([each[norm.input[slot]] for each in found]) for slot in (3, 4))
        new[norm.input[3]] = means.mean(axis=0)
        new[norm.input[4]] = variances.mean(axis=0) + means.var(axis=0)
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    replace_initializers(result, new)
    return result


def _runs(node: onnx.NodeProto) -> bool:
    return node.op_type == "BatchNormalization" and not uses_batch_statistics(node)


def _forget(norm: onnx.NodeProto) -> None:
    """Let a norm store the statistics of its last batch alone."""
    for attribute in [each for each in norm.attribute if each.name == "momentum"]:
        norm.attribute.remove(attribute)
    norm.attribute.append(onnx.helper.make_attribute("momentum", 0.0))


def _statistics(
    module: GraphModule, proto: onnx.ModelProto, batch: Sequence[Feeds]
) -> dict[str, np.ndarray]:
    """Initializers of a graph after a batch ran through its module.

    Scalars and vectors beside the image, of which a batch has one, come with batches of one.
    """
    arrays = (
        np.concatenate([feeds[name] for feeds in batch]) if array.ndim > 1 else array
        for name, array in batch[0].items()
    )
    with torch.no_grad():
        module(*map(torch.from_numpy, arrays))
    return initializers(write_back(module, proto))
