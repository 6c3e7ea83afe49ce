"""The blocks that random graphs are grown from: what generators and their exporters do."""

from graph.blocks import attention, convolutions, joins, norms, operators, sizes, styles, writes
from graph.blocks.builder import BLOCKS, Builder, Map

__all__ = [
    "BLOCKS",
    "Builder",
    "Map",
    "attention",
    "convolutions",
    "joins",
    "norms",
    "operators",
    "sizes",
    "styles",
    "writes",
]
