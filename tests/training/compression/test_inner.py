"""Inner values of a teacher in the channels of its student."""

import numpy as np
import torch

from decig.graph.channels import analyse
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.training.compression.inner import InnerValues, comparable_values, kept_indices
from decig.training.loop.precision import Precision
from decig.training.losses.features import feature_loss
from decig.training.trainable.module import build_module
from tests.training.tiny import tiny_generator

CPU = torch.device("cpu")
EXACT = Precision("cpu")


def source() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_values_have_the_channels_that_are_kept_and_no_gradient() -> None:
    class Teacher(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return x.requires_grad_() * 2, x

    inner = InnerValues(Teacher(), [np.array([0, 2]), None], EXACT, CPU)
    some, every = inner((source(),))
    assert torch.equal(some, 2 * source()[:, [0, 2]]) and torch.equal(every, source())
    assert not some.requires_grad


def test_a_sliced_graph_has_the_features_of_the_kept_channels() -> None:
    proto = tiny_generator()
    channels = analyse(proto)
    plan = Plan("", {name: [1, 2, 5, 7] for name in channels.widths})
    kept = kept_indices(channels, plan, ["c1", "c4"])
    assert kept[0] is not None and kept[0].tolist() == [1, 2, 5, 7]
    assert kept[1] is None or kept[1].tolist() == [0, 1, 2]  # the picture keeps its colours
    student = build_module(slice_graph(proto, channels, plan), outputs=["output", "c1"]).eval()
    teacher = build_module(proto, outputs=["c1"]).eval()
    same = InnerValues(teacher, kept[:1], EXACT, CPU)
    others = InnerValues(teacher, [np.array([0, 2, 5, 7])], EXACT, CPU)
    with torch.no_grad():
        _, *found = student(source())
        assert feature_loss(found, same((source(),))) < 1e-6  # c1 reads the image alone
        assert feature_loss(found, others((source(),))) > 0.01


def test_values_are_compared_where_channels_can_be_told_apart() -> None:
    channels = analyse(tiny_generator())
    assert comparable_values(channels, ["c1", "n2", "no such value"]) == ["c1", "n2"]
