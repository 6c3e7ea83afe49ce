"""Random generators as modules, whole and cut: parity with ONNX Runtime, image by image."""

import numpy as np
import onnx
import pytest
import torch

from decig.errors import BadInputError
from decig.graph.channels import ChannelMap
from decig.graph.slicing import slice_graph
from decig.training.trainable.module import build_module
from tests.graph.blocks import BLOCKS
from tests.graph.random_graphs import RandomGraph
from tests.training.onnx_cases import assert_close, run_ort
from tests.training.random_nets import UNKNOWN, for_random_generators, noise_for


def require_agreement(graph: RandomGraph, proto: onnx.ModelProto) -> None:
    """Compare a graph's module with ONNX Runtime on two images, and on both as a batch."""
    first = noise_for(proto, graph.seed)
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


def run_property(examples: int, block: str | None = None) -> None:
    @for_random_generators(examples, block)
    def holds(graph: RandomGraph, proto: onnx.ModelProto, channels: ChannelMap) -> None:
        require_agreement(graph, proto)
        require_agreement(graph, slice_graph(proto, channels, graph.plan(channels)))

    holds()


@pytest.mark.parametrize("block", [name for name in BLOCKS if name != UNKNOWN])
def test_every_block_agrees_with_onnx_runtime(block: str) -> None:
    run_property(3, block)


def test_random_generators_agree_with_onnx_runtime() -> None:
    run_property(60)


@pytest.mark.slow
def test_two_thousand_random_generators_agree_with_onnx_runtime() -> None:
    run_property(2000)
