"""What an engineer does without decig: the same network slimmer, by hand and by Torch-Pruning."""

UNIFORM, PRUNED = "uniform", "torch-pruning"
PEERS = (UNIFORM, PRUNED)
GENEROSITY = 1.03
"""A peer may take this many times as long as decig's result."""
