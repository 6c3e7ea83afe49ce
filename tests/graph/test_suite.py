"""Real generators made by others: half their channels, random plans, the figures of SUITE.md."""

from pathlib import Path

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import Model, load_model
from decig.graph.plan import Plan, plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from tests.graph.tiny import random_feeds, worst_difference

HALF = {  # share of multiply-accumulates left at exactly half of every interior layer
    "espcn_x3": 0.268,
    "fns_candy_nc16": 0.296,
    "mobil_highstyle": 0.561,
    "sed_unet": 0.252,
    "udnie": 0.281,
    "wave": 0.281,
    "winml_candy_op17_256": 0.306,
    "winml_candy_op7_720": 0.305,
}
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=HALF)
def model(request: pytest.FixtureRequest, shared_suite: Path) -> Model:
    return load_model(shared_suite / f"{request.param}.onnx")


def feeds(model: Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Random pictures in the range that SUITE.md names."""
    high = 1 if model.path.stem in ("sed_unet", "espcn_x3") else 255
    return random_feeds(model.proto, seed, low=0, high=high)


def test_half_of_every_group(model: Model):
    channels = analyse(model.proto)
    widths = uniform_widths(channels, 0.5)
    scores = magnitude_scores(model.proto, channels)
    plan = plan_from_widths(channels, widths, scores, model.sha256)
    share = count(slice_graph(model.proto, channels, plan)).macs / count(model.proto).macs
    assert share <= 1.12 * HALF[model.path.stem]
    assert worst_difference(model.proto, channels, plan, feeds(model)) <= TOLERANCE


@pytest.mark.parametrize("seed", [1, 2])
def test_random_plans(model: Model, seed: int):
    channels = analyse(model.proto)
    assert all(group.exact for group in channels.prunable)
    random = np.random.default_rng(seed)
    plan = Plan(
        model.sha256,
        {
            group.name: sorted(
                int(index)
                for index in random.choice(
                    group.channels, random.integers(1, group.channels + 1), replace=False
                )
            )
            for group in channels.prunable
        },
    )
    assert worst_difference(model.proto, channels, plan, feeds(model, seed)) <= TOLERANCE


def test_only_what_makes_the_picture_is_frozen(model: Model):
    frozen = [group for group in analyse(model.proto).groups if not group.prunable]
    allowed = ("graph output", "graph input")
    assert [g.name for g in frozen if not g.reason.startswith(allowed)] == []


def test_the_trunk_of_a_style_net_is_one_group(shared_suite: Path):
    """udnie: 5 residual blocks between 128 channels that end in a transposed convolution."""
    proto = load_model(shared_suite / "udnie.onnx").proto
    widest = max(analyse(proto).prunable, key=lambda group: len(group.nodes))
    assert widest.channels == 128
    kinds = {node.name: node.op_type for node in proto.graph.node}
    found = {kinds[node] for node in widest.nodes}
    assert found == {"Conv", "ConvTranspose", "InstanceNormalization"}
