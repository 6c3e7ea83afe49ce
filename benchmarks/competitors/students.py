"""The student that Torch-Pruning makes of the teacher: pruned by magnitude."""

import copy

import torch
import torch_pruning
from torch import Tensor, nn

_SIDE = 64  # pixels of the picture by which Torch-Pruning follows the layers
_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def pruned(teacher: nn.Module, share: float) -> nn.Module:
    """Prune the teacher with Torch-Pruning until this share of the channels is left everywhere.

    Groups by dependency graph, scored by the group norm, the same ratio everywhere: G. Fang et
    al., "DepGraph: Towards Any Structural Pruning" (CVPR 2023), as its authors' package does it.
    """
    student = copy.deepcopy(teacher)
    example = torch.zeros(1, 3, _SIDE, _SIDE)
    pruner = torch_pruning.pruner.BasePruner(
        student,
        example,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=False,
        # It rounds down what is left, so that rounding of the share must not take one channel more.
        pruning_ratio=1 - share - 1e-9,
        ignored_layers=[_last_layer(student, example)],
    )
    pruner.step()
    return student


def _last_layer(net: nn.Module, example: Tensor) -> nn.Module:
    """The layer that makes the picture: the last one that is called."""
    called: list[nn.Module] = []

    def note(module: nn.Module, _: object) -> None:
        called.append(module)

    hooks = [m.register_forward_pre_hook(note) for m in net.modules() if isinstance(m, _LAYERS)]
    with torch.no_grad():
        net(example)
    for hook in hooks:
        hook.remove()
    return called[-1]
