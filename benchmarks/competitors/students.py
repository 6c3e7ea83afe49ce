"""The student that Torch-Pruning makes of the teacher: pruned by magnitude."""

import copy
from pathlib import Path

import numpy as np
import onnx
import torch
import torch_pruning
from onnx import numpy_helper
from torch import Tensor, nn

from competitors.family import Family
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.graph.model import input_info, load_model
from decig.quality.parity import max_abs_diff

_TOLERANCE = 1e-4  # of the output range
_SIDE = 64  # pixels of the picture by which Torch-Pruning follows the layers
_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def load_teacher(path: Path, family: Family, pixels: PixelFormat) -> nn.Module:
    """Build the widest net with the weights of an ONNX file, and prove that it paints the same.

    Args:
        path: the ONNX file, whose initializers have the names of the net's parameters.
        family: the nets.
        pixels: of the file.

    Raises:
        DecigError: the file's initializers are not this net's, or the pictures differ.
    """
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    net = family.make(family.widest).eval()
    own = net.state_dict()
    for name, value in own.items():
        if name not in weights or weights[name].shape != tuple(value.shape):
            raise DecigError(f"{path}: not the peers' net: no initializer {name} of its shape")
    net.load_state_dict({name: torch.from_numpy(weights[name].copy()) for name in own})
    shape = input_info(load_model(path).proto)[0].shape
    image = np.random.default_rng(0).uniform(*pixels.input_range, shape).astype(np.float32)
    session = Device.of().open(path)
    expected = session.run(None, {session.get_inputs()[0].name: image})[0]
    with torch.no_grad():
        painted = net(torch.from_numpy(image)).numpy()
    difference = max_abs_diff(expected, painted, pixels.output_range)
    if difference > _TOLERANCE:
        raise DecigError(f"{path}: the peers' net paints differently: {difference:.1e} of a range")
    return net


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
