"""A generator with computed sizes from both PyTorch exporters, and the NHWC layout of tf2onnx."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graph.test_axes import require_dynamic
from tests.graph.tiny import parse

SIZES = ([1, 3, 16, 24], [2, 3, 19, 22])


@pytest.fixture(scope="module")
def net() -> Any:
    """Pad to a multiple of 4, U-Net with attention to channels, pixel shuffle, crop."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, padding=1)
            self.norm = nn.InstanceNorm2d(8, affine=True)
            self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
            self.batch = nn.BatchNorm2d(16)
            self.gate = nn.Linear(16, 16)
            self.up = nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1)
            self.join = nn.Conv2d(16, 8, 3, padding=1)
            self.shuffle = nn.Conv2d(8, 12, 3, padding=1)

        def forward(self, x: Any) -> Any:
            height, width = x.shape[2:]
            x = f.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")
            skip = f.relu(self.norm(self.stem(x)))
            deep = f.silu(self.batch(self.down(skip)))
            deep = deep * self.gate(deep.mean((2, 3))).sigmoid()[:, :, None, None]
            batch, channels, rows, columns = deep.shape
            deep = deep.view(batch, channels, rows * columns).tanh().view(deep.shape)
            up = f.interpolate(self.up(deep), size=skip.shape[2:], mode="bilinear")
            joined = f.leaky_relu(self.join(torch.cat([up, skip], 1)))
            picture = f.pixel_shuffle(self.shuffle(joined), 2).tanh()
            return picture[:, :, : 2 * height, : 2 * width]

    torch.manual_seed(0)
    return Net().eval()


@pytest.mark.train
@pytest.mark.parametrize(
    ("dynamo", "opset"),
    [pytest.param(True, 20, marks=pytest.mark.slow), (False, 11), (False, 17)],
)
@pytest.mark.filterwarnings("ignore")  # the exporters warn of themselves
def test_pytorch(net: Any, dynamo: bool, opset: int, tmp_path: Path):
    import torch

    names = {0: "n", 2: "h", 3: "w"}
    dynamic = torch.export.Dim.DYNAMIC
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        net,
        (torch.zeros(1, 3, 16, 24),),
        path,
        dynamo=dynamo,
        opset_version=opset,
        input_names=["x"],
        output_names=["y"],
        verbose=False,
        **({"dynamic_shapes": {"x": dict.fromkeys(names, dynamic)}} if dynamo else {}),
        **({} if dynamo else {"dynamic_axes": {"x": names, "y": names}}),
    )
    require_dynamic(path, *SIZES, least=4)


def test_nhwc_with_transposes(tmp_path: Path):
    """What tf2onnx writes: every convolution between Transposes, sizes from Shape and Slice."""
    body = """
        p = Pad<mode="reflect">(x, around)
        a1 = Transpose<perm=[0,3,1,2]>(p)
        [c1] a2 = Conv(a1, w1)
        a3 = Transpose<perm=[0,2,3,1]>(a2)
        m = ReduceMean<axes=[1,2], keepdims=1>(a3)
        d = Sub(a3, m)
        q = Mul(d, d)
        v = ReduceMean<axes=[1,2], keepdims=1>(q)
        e = Add(v, tiny)
        r = Sqrt(e)
        n = Div(d, r)
        g = Mul(n, gamma)
        h = Add(g, beta)
        f = Relu(h)
        b1 = Transpose<perm=[0,3,1,2]>(f)
        [c2] b2 = Conv<strides=[2,2], pads=[1,1,1,1]>(b1, w2)
        b3 = Transpose<perm=[0,2,3,1]>(b2)
        s = Shape(b3)
        size = Slice(s, one, three)
        twice = Mul(size, twos)
        c = Transpose<perm=[0,3,1,2]>(b3)
        t = Shape(c)
        front = Slice(t, zero, two)
        sizes = Concat<axis=0>(front, twice)
        u = Resize<mode="nearest">(c, , , sizes)
        [c3] z = Conv<pads=[1,1,1,1]>(u, w3)
        y = Transpose<perm=[0,2,3,1]>(z)
    """
    proto = parse(
        body,
        inputs="float[N,H,W,3] x",
        around=[0, 1, 1, 0, 0, 1, 1, 0],
        w1=(8, 3, 3, 3),
        tiny=np.float32(1e-5),
        gamma=(8,),
        beta=(8,),
        w2=(12, 8, 3, 3),
        zero=[0],
        one=[1],
        two=[2],
        three=[3],
        twos=[2, 2],
        w3=(3, 12, 3, 3),
    )
    path = tmp_path / "nhwc.onnx"
    path.write_bytes(proto.SerializeToString())
    require_dynamic(path, [1, 8, 8, 3], [2, 12, 6, 3])
