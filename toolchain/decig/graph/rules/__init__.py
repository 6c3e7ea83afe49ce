"""How each operator treats channel identities, by theme; `find` looks a rule up."""

from decig.graph.rules import contraction, elementwise, layout, normalisation
from decig.graph.rules.registry import Rule, find

__all__ = ["Rule", "contraction", "elementwise", "find", "layout", "normalisation"]
