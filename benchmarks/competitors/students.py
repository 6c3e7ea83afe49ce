"""The student that Torch-Pruning makes of the teacher: pruned by magnitude."""

import copy

import torch
import torch_pruning

from competitors.style_net import TRUNK, StyleNet


def pruned(teacher: StyleNet, trunk: int) -> StyleNet:
    """Prune the teacher with Torch-Pruning to the very widths of `StyleNet(trunk)`.

    Groups by dependency graph, scored by the group norm, the same ratio everywhere: G. Fang et
    al., "DepGraph: Towards Any Structural Pruning" (CVPR 2023), as its authors' package does it.
    """
    student = copy.deepcopy(teacher)
    pruner = torch_pruning.pruner.BasePruner(
        student,
        torch.zeros(1, 3, 64, 64),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=False,
        pruning_ratio=1 - trunk / TRUNK,
        ignored_layers=[student.out],
    )
    pruner.step()
    return student
