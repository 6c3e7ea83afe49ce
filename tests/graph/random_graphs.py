"""A hypothesis strategy of small random generators, and random plans for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st

from decig.graph.channels import ChannelMap
from decig.graph.model import input_info
from decig.graph.plan import Plan
from graph.blocks import BLOCKS, Builder, Map

OPSETS = (9, 11, 13, 17, 18, 21)


@dataclass(frozen=True)
class RandomGraph:
    """A graph, the blocks it was grown from, and the seed for its plan and its inputs."""

    proto: onnx.ModelProto
    blocks: list[str]
    seed: int

    def __repr__(self) -> str:
        operators = [node.op_type for node in self.proto.graph.node]
        return f"RandomGraph(blocks={self.blocks}, seed={self.seed}, operators={operators})"

    def feeds(self) -> dict[str, np.ndarray]:
        """Random values for every input."""
        random = np.random.default_rng(self.seed)
        return {
            value.name: random.normal(size=value.shape).astype(np.float32)
            for value in input_info(self.proto)
        }

    def plan(self, channels: ChannelMap, *, inexact: bool = False) -> Plan:
        """Keep random channels, at least one a group; inexact groups stay unless asked for."""
        random = np.random.default_rng(self.seed)
        keep = {}
        for group in channels.prunable:
            if group.exact or inexact:
                count = random.integers(1, group.channels + 1)
                kept = random.choice(group.channels, count, replace=False)
                keep[group.name] = sorted(int(index) for index in kept)
        return Plan("", keep)


@st.composite
def random_graphs(draw: Any) -> RandomGraph:
    """Grow a graph: a stem, 2 to 8 blocks that read the last or an older map, one or two heads."""
    seed = draw(st.integers(0, 2**16))
    b = Builder(draw, draw(st.sampled_from(OPSETS)), seed)
    side = b.choose([6, 8])
    image = Map(b.input("image", 1, 3, side, side), 3, side, side)
    b.maps = [image, b.convolution(image)]
    allowed = [name for name, block in BLOCKS.items() if block.since <= b.opset]
    names = draw(st.lists(st.sampled_from(allowed), min_size=2, max_size=8))
    for name in names:
        source = b.choose(b.maps) if b.integer(0, 4) == 4 else b.maps[-1]
        b.maps.append(BLOCKS[name].grow(b, source))
    outputs = [b.convolution(b.maps[-1], out=3).name]
    if b.integer(0, 3) == 3:
        outputs.append(b.choose(b.maps[1:]).name)
    return RandomGraph(b.finish(outputs), names, seed)
