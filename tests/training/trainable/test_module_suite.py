"""Real generators as modules: parity with ONNX Runtime on photos, smaller crops, the way back."""

import copy
import itertools

import numpy as np
import onnx
import pytest
import torch

from decig.data.images import ImageFolder
from decig.graph.model import initializers, input_info, load_model, replace_initializers
from decig.training.trainable.module import build_module, write_back
from tests.training.onnx_cases import assert_close, run_ort

SUITE = [
    "udnie.onnx",
    "wave.onnx",
    "fns_candy_nc16.onnx",
    "winml_candy_op17_256.onnx",
    "mobil_highstyle.onnx",
    "sed_unet.onnx",
    "espcn_x3.onnx",
]
# What an exporter would have baked in for half the size, by the value declared for the full one.
HALVED = {
    "Slice": {128: 64, 256: 128},
    "Reshape": {672: 336, 224: 112, 256: 128, 128: 64},
}


@pytest.fixture(scope="module", params=SUITE)
def real(request, shared_suite):
    """A real generator, and its shape."""
    proto = load_model(shared_suite / request.param).proto
    return proto, input_info(proto)[0].shape


@pytest.fixture(scope="module")
def photos(shared_data):
    folder = ImageFolder(shared_data / "photos" / "val")
    return [image for _, image in itertools.islice(folder, 4)]


def pictures(photos: list[np.ndarray], shape: list[int], size: int) -> np.ndarray:
    """Crops of photos as the suite's models take them: RGB 0..255, or one channel 0..1."""
    crops = np.stack([photo[:size, :size] for photo in photos]).astype(np.float32)
    if shape[1] == 1:
        crops = crops.mean(-1, keepdims=True) / 255
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2))


def test_real_generators_agree_with_onnx_runtime(real, photos):
    proto, shape = real
    x = pictures(photos, shape, shape[2])
    module = build_module(proto).eval()
    with torch.no_grad():
        found = module(torch.from_numpy(x))[0].numpy()
    for sample, ours in zip(x[:2], found, strict=False):
        assert_close(ours[None], run_ort(proto, sample[None])[0], 1e-4)


def test_real_generators_run_on_smaller_crops(real, photos):
    proto, shape = real
    size = shape[2] // 2
    x = pictures(photos[:1], shape, size)
    module = build_module(proto, input_size=(size, size)).eval()
    with torch.no_grad():
        found = module(torch.from_numpy(x))[0].numpy()
    assert_close(found, run_ort(halved(proto), x)[0], 1e-4)


def halved(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The graph as its exporter would have written it for half the height and width."""
    result = copy.deepcopy(proto)
    constants = initializers(proto)
    changed = {}
    for node in result.graph.node:
        swap = HALVED.get(node.op_type, {})
        for name in node.input[1:]:
            array = constants.get(name)
            if swap and array is not None and array.dtype == np.int64:
                keep = 2 if len(array) > 3 else 0  # batch and channels
                changed[name] = np.array(
                    [n if at < keep else swap.get(int(n), n) for at, n in enumerate(array)]
                )
        for attribute in node.attribute:
            if attribute.name == "output_shape":
                attribute.ints[:] = [n // 2 + 1 for n in attribute.ints]
    replace_initializers(result, changed)
    for value in (*result.graph.input, *result.graph.output):
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.dim_value //= 2
    del result.graph.value_info[:]
    return result


def test_real_generators_travel_back(real, photos):
    proto, shape = real
    module = build_module(proto).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 1 + 0.05 * torch.randn_like(parameter)
    x = pictures(photos[:1], shape, shape[2])
    with torch.no_grad():
        found = module(torch.from_numpy(x))[0].numpy()
    assert_close(found, run_ort(write_back(module, proto), x)[0], 1e-4)
