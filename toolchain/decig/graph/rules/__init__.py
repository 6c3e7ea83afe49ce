"""How each operator treats channel identities, by theme; `find` looks a rule up."""

from decig.graph.rules import (
    contraction,
    einsum,
    elementwise,
    layout,
    normalisation,
    picks,
    pools,
    random,
    scatter,
    spectrum,
)
from decig.graph.rules.registry import Rule, find
from decig.graph.rules.spare import carry

__all__ = [
    "Rule",
    "carry",
    "contraction",
    "einsum",
    "elementwise",
    "find",
    "layout",
    "normalisation",
    "picks",
    "pools",
    "random",
    "scatter",
    "spectrum",
]
