"""What tests of nets at several widths share: a small net, an image, and random generators."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from hypothesis import HealthCheck, assume, given, settings

from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import input_info, normalise
from tests.graph.random_graphs import RandomGraph, random_graphs
from tests.training.tiny import tiny_generator

PROTO = tiny_generator(size=24)
CHANNELS = analyse(PROTO)
UNKNOWN = "unknown_operator"
"""The block of random generators that is made to be refused."""


def image() -> torch.Tensor:
    """What `PROTO` takes."""
    return torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def noise_for(proto: onnx.ModelProto, seed: int) -> list[np.ndarray]:
    """What a graph takes: noise for each input."""
    random = np.random.default_rng(seed)
    return [random.standard_normal(v.shape, dtype=np.float32) for v in input_info(proto)]


def for_random_generators(
    examples: int, block: str | None = None
) -> Callable[[Callable[[RandomGraph, onnx.ModelProto, ChannelMap], None]], Callable[[], Any]]:
    """Check a property of random generators that can be trained, the same ones each time.

    It must hold for half of them at least: to assume too much is to check too little.

    Args:
        examples: how many.
        block: that each of them holds; any if None.
    """

    def decorate(
        holds: Callable[[RandomGraph, onnx.ModelProto, ChannelMap], None],
    ) -> Callable[[], Any]:
        held = 0

        def check(graph: RandomGraph) -> None:
            nonlocal held
            assume(UNKNOWN not in graph.blocks)
            proto = normalise(graph.proto)
            holds(graph, proto, analyse(proto))
            held += 1

        reproducible = settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        found: Callable[[], Any] = reproducible(given(random_graphs(block))(check))

        def checked() -> None:
            found()
            assert held >= examples / 2

        return checked

    return decorate
