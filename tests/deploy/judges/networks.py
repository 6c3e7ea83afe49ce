"""Tiny networks that judge pictures, as ONNX and TorchScript files."""

import textwrap
import warnings
from pathlib import Path

import numpy as np
import onnx

from tests.graph.tiny import parse

SIDE = 24
PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)


def write_features(path: Path, height: object = "h", width: object = "w") -> Path:
    """Write a network of features: mean and greatest value of R, G and B, 0 to 255."""
    proto = parse(
        """
        m = GlobalAveragePool(x)
        g = GlobalMaxPool(x)
        f = Concat<axis=1>(m, g)
        """,
        inputs=f"float[1,3,{height},{width}] x",
        outputs="float[1,6,1,1] f",
    )
    onnx.save(proto, path)
    return path


def write_distance(path: Path) -> Path:
    """Write the mean absolute difference of two pictures, in bytes."""
    proto = parse(
        """
        d = Sub(a, b)
        e = Abs(d)
        f = ReduceMean<keepdims=0>(e)
        """,
        inputs="float[1,3,h,w] a, float[1,3,h,w] b",
        outputs="float f",
    )
    onnx.save(proto, path)
    return path


def write_segmenter(path: Path, labels: int = 4, *, numbers: bool = False) -> Path:
    """Write a network that finds the nearest colours of `PALETTE`; scores, or numbers of labels."""
    colours = PALETTE[np.arange(labels) % len(PALETTE)].astype(np.float32)
    # -|x - c|^2, without the part that is the same for all colours.
    weight, bias = 2 * colours[:, :, None, None], -np.square(colours).sum(axis=1)
    text = "s = Conv(x, w, b)" + ("\nn = ArgMax<axis=1,keepdims=0>(s)" if numbers else "")
    outputs = "int64[1,h,w] n" if numbers else f"float[1,{labels},h,w] s"
    proto = parse(text, inputs="float[1,3,h,w] x", outputs=outputs, w=weight, b=bias)
    onnx.save(proto, path)
    return path


def write_torchscript(path: Path, code: str, folder: Path) -> Path:
    """Write a TorchScript network whose `forward` is this code."""
    import importlib.util

    import torch

    text = textwrap.indent(textwrap.dedent(code), "    ")
    source = folder / f"{path.stem}_code.py"
    source.write_text(f"import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n{text}\n")
    spec = importlib.util.spec_from_file_location(source.stem, source)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module.Net()).save(str(path))
    return path


INCEPTION = """
def forward(self, img: torch.Tensor, return_features: bool = False, use_fp16: bool = False):
    assert img.dtype == torch.uint8
    means = img.float().mean((2, 3))
    if return_features:
        return torch.cat([means, img.float().amax((2, 3))], 1)
    return means.sum(1, keepdim=True)
"""
"""Takes what NVIDIA's inception-2015-12-05.pt takes."""

VGG = """
def forward(self, img: torch.Tensor, resize_images: bool = True, return_features: bool = False,
            return_lpips: bool = False):
    assert img.dtype == torch.float32
    if resize_images:
        return img[:, :, 0, 0]
    if return_lpips:
        return img.flatten(1) / img[0].numel() ** 0.5
    return img.mean((2, 3))
"""
"""Takes what NVIDIA's vgg16.pt takes; its LPIPS is the mean squared difference of bytes."""
