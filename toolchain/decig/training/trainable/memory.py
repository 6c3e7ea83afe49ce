"""Memory: the order in which the numbers of a tensor lie in it, and how much of it is free."""

import psutil
import torch
from torch import nn


def put_channels_last(module: nn.Module) -> None:
    """Store the module's tensors of four axes with their channels last, in place.

    Convolutions of pictures run faster so, on CPUs and GPUs alike. The values, the shapes and
    the parameters themselves stay what they are. Tensors with another number of axes (the
    weights of a convolution in three dimensions, a window mask of five axes) stay as they lie:
    PyTorch's `channels_last` exists for four axes only, and `nn.Module.to` fails on five.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)


def free_bytes(device: torch.device) -> int:
    """Memory of a device that new tensors can have, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
