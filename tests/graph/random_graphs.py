"""A hypothesis strategy of small random generators, and random plans for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st

from decig.graph.channels import ChannelMap
from decig.graph.plan import Plan
from tests.graph.blocks import BLOCKS, Builder, Map

OPSETS = (9, 11, 13, 17, 18, 21, 24)


@dataclass(frozen=True)
class RandomGraph:
    """A graph, the blocks it was grown from, and the seed for its plan and its inputs."""

    proto: onnx.ModelProto
    blocks: list[str]
    seed: int

    def __repr__(self) -> str:
        operators = [node.op_type for node in self.proto.graph.node]
        return f"RandomGraph(blocks={self.blocks}, seed={self.seed}, operators={operators})"

    def plan(self, channels: ChannelMap) -> Plan:
        """Keep random channels, at least one a group."""
        random = np.random.default_rng(self.seed)
        keep = {}
        for group in channels.prunable:
            count = random.integers(1, group.channels + 1)
            kept = random.choice(group.channels, count, replace=False)
            keep[group.name] = sorted(int(index) for index in kept)
        return Plan("", keep)


@st.composite
def random_graphs(draw: Any, block: str | None = None) -> RandomGraph:
    """Grow a graph: a stem, blocks that read the last or an older map, one or two outputs.

    Args:
        draw: hypothesis' source of choices.
        block: a block that must be among the others.
    """
    seed = draw(st.integers(0, 2**16))
    since = BLOCKS[block].since if block else 0
    b = Builder(draw, draw(st.sampled_from([opset for opset in OPSETS if opset >= since])), seed)
    side = b.choose([6, 8])
    image = Map(b.input("image", 1, 3, side, side), 3, side, side)
    b.maps = [image, b.convolution(image)]
    allowed = [name for name, other in BLOCKS.items() if other.since <= b.opset]
    names = draw(st.lists(st.sampled_from(allowed), min_size=1, max_size=6))
    if block:
        names.insert(b.integer(0, len(names)), block)
    for name in names:
        source = b.choose(b.maps) if b.integer(0, 4) == 4 else b.maps[-1]
        b.maps.append(BLOCKS[name].grow(b, source))
    outputs = [b.convolution(b.maps[-1], out=3).name]
    if b.integer(0, 5) == 5:
        outputs.append(b.choose(b.maps[1:]).name)
    return RandomGraph(b.finish(outputs), names, seed)
