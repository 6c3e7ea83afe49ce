"""Whatever number of channels a graph is given: it is refused when it is read, or it runs."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.errors import BadInputError
from decig.graph.model import load_model
from tests.graph.tiny import parse, run

FIRST = {
    "convolution": ("y = Conv(x, w)", {"w": (4, 3, 1, 1)}, 17),
    "depthwise": ("y = Conv<group=3>(x, w)", {"w": (3, 1, 1, 1)}, 17),
    "transposed": ("y = ConvTranspose(x, w)", {"w": (3, 4, 1, 1)}, 17),
    "batch norm": ("y = BatchNormalization(x, s, s, p, p)", {"s": (3,), "p": np.ones(3, "f4")}, 17),
    "instance norm": ("y = InstanceNormalization(x, s, s)", {"s": (3,)}, 17),
    "group norm": ("y = GroupNormalization<num_groups=3>(x, s, s)", {"s": (3,)}, 18),
    "group norm of today": ("y = GroupNormalization<num_groups=3>(x, s, s)", {"s": (3,)}, 21),
    "layer norm": ("y = LayerNormalization<axis=1>(x, s)", {"s": (3, 8, 8)}, 17),
    "RMS norm": ("y = RMSNormalization<axis=1>(x, s)", {"s": (3, 8, 8)}, 23),
    "slopes": ("y = PRelu(x, s)", {"s": (3, 1, 1)}, 17),
    "bias": ("y = Add(x, s)", {"s": (1, 3, 1, 1)}, 17),
    "pixel shuffle": ("a = Concat<axis=1>(x, k) y = DepthToSpace<blocksize=2>(a)",
                      {"k": (1, 9, 8, 8)}, 17),
    "fold": ("y = SpaceToDepth<blocksize=4>(x)", {}, 17),
    "linear": ("t = Transpose<perm=[0,2,3,1]>(x) y = MatMul(t, w)", {"w": (3, 4)}, 17),
    "einsum": ('y = Einsum<equation="bchw,cd->bdhw">(x, w)', {"w": (3, 4)}, 17),
    "swap of colours": ("y = Gather<axis=1>(x, i)", {"i": [2, 1, 0]}, 17),
    "split": ("a, b = Split<axis=1>(x, sizes) y = Concat<axis=1>(b, a)", {"sizes": [1, 2]}, 17),
    "reshape": ("y = Reshape(x, to)", {"to": [1, 3, 8, 8]}, 17),
    "beside a mask": ("a = Concat<axis=1>(x, k) y = Conv(a, w)",
                      {"k": (1, 2, 8, 8), "w": (4, 5, 1, 1)}, 17),
}  # fmt: skip
MISFITS = ["transposed", "group norm of today", "layer norm", "RMS norm", "slopes", "einsum",
           "pixel shuffle"]  # fmt: skip
"""Where ONNX infers shapes all the same, so that decig must look."""


def any_channels(name: str) -> onnx.ModelProto:
    body, constants, opset = FIRST[name]
    return parse(body, inputs="float[N,C,H,W] x", opset=opset, **constants)


@pytest.mark.parametrize("name", FIRST)
def test_three_channels_fit(name, tmp_path):
    onnx.save(any_channels(name), tmp_path / "m.onnx")
    run(load_model(tmp_path / "m.onnx", {"x": [1, 3, 8, 8]}).proto)


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("channels", [2, 4])
def test_others_are_refused_with_the_option_that_asked_for_them(name, channels, tmp_path):
    onnx.save(any_channels(name), tmp_path / "m.onnx")
    shape = [1, channels, 8, 8]
    with pytest.raises(BadInputError) as refusal:
        load_model(tmp_path / "m.onnx", {"x": shape})
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / 'm.onnx'}: ")
    assert message.endswith(f"(--input-shape x:1,{channels},8,8)")
    assert "\n" not in message


@given(st.sampled_from(sorted(FIRST)), st.integers(1, 9), st.integers(1, 9))
def test_what_is_read_runs(tmp_path_factory, name, channels, size):
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    onnx.save(any_channels(name), path)
    try:
        proto = load_model(path, {"x": [1, channels, size, size]}).proto
    except BadInputError as refusal:
        assert "\n" not in str(refusal)  # either way is right
        return
    session = ort.InferenceSession(proto.SerializeToString())
    session.run(None, {"x": np.zeros((1, channels, size, size), np.float32)})
