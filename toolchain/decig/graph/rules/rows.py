"""Channels in the batch: a filter that sees each of them alone.

Resampling filters are written for one channel. [N, C, H, W] becomes [N * C, 1, H, W], goes through
a convolution of one input, and comes back.
"""

import onnx

from decig.graph.flow import Flow
from decig.graph.ids import Ids


def by_row(flow: Flow, node: onnx.NodeProto, source: Ids) -> Ids | None:
    """Identities behind an operator that treats axis 0 row by row, where channels lie there.

    The weights are the same for all rows and thus bound to none.

    Returns:
        Identities that vary along axis 0 alone; None where no channels lie along axis 0.
    """
    if source.shape[0] == 1:
        return None
    for name in node.input[1:]:
        if name and not flow.is_constant(name):
            flow.space.freeze(flow.of(name), f"weights of {node.op_type} {node.name}")
    others = tuple(range(1, source.ndim))
    return flow.space.tie(source, others, f"{node.op_type} {node.name} mixes them")
