"""Running statistics of a graph whose weights changed without them.

Yu and Huang, "Universally Slimmable Networks" (ICCV 2019), section 3.2: slim networks of one
supernet see other statistics at every width, so those are measured once a network is chosen.
"""

from collections.abc import Sequence

import onnx
import torch

from decig.data.feeds import Feeds
from decig.graph.rules.normalisation import uses_batch_statistics
from decig.training.trainable.module import build_module, write_back

_ROUNDS = 24
"""Batches that statistics follow; of the old ones 8 % are left with ONNX's momentum of 0.9."""


def recalibrated(proto: onnx.ModelProto, inputs: Sequence[Feeds]) -> onnx.ModelProto:
    """Return a graph with running statistics of real inputs.

    Args:
        proto: the graph in normal form. It is returned as it is where no BatchNormalization has
            running statistics.
        inputs: what the graph takes, one image each; they are used in turn.
    """
    if not any(
        node.op_type == "BatchNormalization" and not uses_batch_statistics(node)
        for node in proto.graph.node
    ):
        return proto
    module = build_module(proto).train()
    with torch.no_grad():
        for number in range(_ROUNDS):
            feeds = inputs[number % len(inputs)]
            module(*(torch.from_numpy(array) for array in feeds.values()))
    return write_back(module, proto)
