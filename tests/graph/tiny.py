"""Small graphs from text, and the comparison of a sliced graph with the oracle."""

import numpy as np
import onnx
from onnx import numpy_helper

from decig.graph.channels import ChannelMap
from decig.graph.model import input_info, normalise
from decig.graph.oracle import masked_graph
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from tests.runtime import open_plain


def parse(
    body: str,
    *,
    inputs: str = "float[1,3,8,8] x",
    outputs: str = "float[N,C,H,W] y",
    opset: int = 17,
    **constants: object,
) -> onnx.ModelProto:
    """Build a graph from ONNX text syntax; a constant is an array, or a shape to fill at random.

    Lists become int64 arrays, tuples are shapes.
    """
    graph = onnx.parser.parse_graph(f"tiny ({inputs}) => ({outputs}) {{ {body} }}")
    random = np.random.default_rng(0)
    for name, value in constants.items():
        if isinstance(value, tuple):
            value = random.normal(size=value).astype(np.float32)
        array = np.array(value, np.int64) if isinstance(value, list) else np.asarray(value)
        graph.initializer.append(numpy_helper.from_array(array, name))
    versions = {"": opset, "own": 1, "com.microsoft": 1}
    opsets = [onnx.helper.make_operatorsetid(*pair) for pair in versions.items()]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def tiny(body: str, **more: object) -> onnx.ModelProto:
    """Like `parse`, in normal form."""
    return normalise(parse(body, **more))  # type: ignore[arg-type]


def run(proto: onnx.ModelProto, feeds: dict[str, np.ndarray] | None = None) -> list[np.ndarray]:
    """Outputs of a graph in ONNX Runtime, for random inputs unless given."""
    outputs: list[np.ndarray] = open_plain(proto).run(None, feeds or random_feeds(proto))
    return outputs


def random_feeds(
    proto: onnx.ModelProto, seed: int = 0, low: float = -2, high: float = 2
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        value.name: random.uniform(low, high, value.shape).astype(np.float32)
        for value in input_info(proto)
    }


def worst_difference(
    proto: onnx.ModelProto,
    channels: ChannelMap,
    plan: Plan,
    feeds: dict[str, np.ndarray] | None = None,
) -> float:
    """Largest difference between the sliced graph and the oracle, relative to the range."""
    feeds = feeds or random_feeds(proto)
    expected = run(masked_graph(proto, channels, plan), feeds)
    sliced = slice_graph(proto, channels, plan)
    onnx.checker.check_model(sliced)
    worst = 0.0
    for wanted, got in zip(expected, run(sliced, feeds), strict=True):
        assert got.shape == wanted.shape
        assert np.isfinite(wanted).all()
        # A picture that is almost constant has no range to speak of.
        span = max(float(np.ptp(wanted)), 1e-3)
        worst = max(worst, float(np.abs(got - wanted).max()) / span)
    return worst


def keep(channels: ChannelMap, **kept: list[int]) -> Plan:
    """Plan that keeps these indices of these groups; checks that the groups can be cut."""
    assert all(channels.group(name).prunable for name in kept)
    return Plan("", kept)


def widths(channels: ChannelMap) -> dict[str, int]:
    """Channels of every group that can be cut."""
    return {group.name: group.channels for group in channels.prunable}


def reasons(channels: ChannelMap) -> dict[str, str]:
    """Why the other groups cannot be cut."""
    return {group.name: group.reason for group in channels.groups if not group.prunable}


def shape_of(proto: onnx.ModelProto, initializer: str) -> list[int]:
    return next(list(t.dims) for t in proto.graph.initializer if t.name == initializer)
