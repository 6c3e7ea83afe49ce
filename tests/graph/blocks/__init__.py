"""The blocks that random graphs are grown from: what generators and their exporters do."""

from tests.graph.blocks import (
    attention,
    convolutions,
    joins,
    norms,
    operators,
    picks,
    sizes,
    styles,
    writes,
)
from tests.graph.blocks.builder import BLOCKS, Builder, Map

__all__ = [
    "BLOCKS",
    "Builder",
    "Map",
    "attention",
    "convolutions",
    "joins",
    "norms",
    "operators",
    "picks",
    "sizes",
    "styles",
    "writes",
]
