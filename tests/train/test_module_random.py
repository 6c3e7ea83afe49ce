"""Random generators as modules: parity with ONNX Runtime, sample by sample of a batch."""

import numpy as np
import torch
from hypothesis import HealthCheck, assume, given, settings

from decig.errors import BadInputError
from decig.graph.model import input_info, normalise
from decig.train.module import build_module
from tests.graph.random_graphs import random_graphs
from tests.train.onnx_cases import assert_close, run_ort


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(random_graphs())
def test_random_generators_agree_with_onnx_runtime(graph):
    assume("unknown_operator" not in graph.blocks)  # made to be refused
    proto = normalise(graph.proto)
    random = np.random.default_rng(graph.seed)
    first = [random.standard_normal(v.shape, dtype=np.float32) for v in input_info(proto)]
    second = [np.float32(0.5) * array + np.float32(0.1) for array in first]
    expected = [run_ort(proto, *inputs) for inputs in (first, second)]
    module = build_module(proto).eval()
    with torch.no_grad():
        for inputs, outputs in zip((first, second), expected, strict=True):
            for found, wanted in zip(module(*map(torch.from_numpy, inputs)), outputs, strict=True):
                assert_close(found.numpy(), wanted, 1e-4)
        batch = [np.concatenate(pair) for pair in zip(first, second, strict=True)]
        try:
            found = module(*map(torch.from_numpy, batch))
        except BadInputError as error:
            assert "axis 0 must be 1" in str(error)
            return
    for index, value in enumerate(found):
        both = np.concatenate([outputs[index] for outputs in expected])
        assert_close(value.numpy(), both, 1e-4)
