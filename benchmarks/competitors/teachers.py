"""A teacher, of which there is an ONNX file, as the PyTorch net whose class is known."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from competitors.family import Family
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.graph.model import input_info, load_model
from decig.quality.parity import max_abs_diff

_TOLERANCE = 1e-4  # of the output range


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
