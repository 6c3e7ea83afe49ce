import numpy as np
import pytest
import torch

from decig.graph.channels import analyse
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.train.losses.features import (
    FeatureLoss,
    feature_values,
    features_by_kept_index,
)
from decig.train.module import build_module
from decig.train.precision import Precision
from tests.train.tiny import tiny_generator

CPU = torch.device("cpu")
EXACT = Precision("cpu")


def source() -> "torch.Tensor":
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def features(*arrays: object) -> "torch.nn.Module":
    class Teacher(torch.nn.Module):
        def forward(self, _: "torch.Tensor") -> tuple["torch.Tensor", ...]:
            return tuple(torch.tensor(array) for array in arrays)

    return Teacher()


def test_features_are_compared_with_the_channels_that_are_kept() -> None:
    teacher = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    kept = np.array([0, 2])
    loss = FeatureLoss(features(teacher), [kept], 0.5, EXACT, CPU)
    alike = torch.from_numpy(teacher[:, kept])
    assert loss((source(),), (alike,)) == 0
    off = loss((source(),), (alike + 2,))
    assert off == pytest.approx(0.5 * 2 / np.abs(teacher[:, kept]).mean())


def test_every_value_counts_the_same_whatever_its_size() -> None:
    one, other = np.full((1, 2, 2), 10, np.float32), np.full((1, 3, 8), 0.1, np.float32)
    loss = FeatureLoss(features(one, other), [None, None], 1.0, EXACT, CPU)
    students = torch.from_numpy(one * 1.1), torch.from_numpy(other * 1.3)
    assert loss((source(),), students) == pytest.approx(0.2, rel=1e-4)


def test_a_sliced_graph_has_the_features_of_the_kept_channels() -> None:
    proto = tiny_generator()
    channels = analyse(proto)
    plan = Plan("", {name: [1, 2, 5, 7] for name in channels.widths})
    kept = features_by_kept_index(channels, plan, ["c1", "c4"])
    assert kept[0] is not None and kept[0].tolist() == [1, 2, 5, 7]
    assert kept[1] is None or kept[1].tolist() == [0, 1, 2]  # the picture keeps its colours
    student = build_module(slice_graph(proto, channels, plan), outputs=["output", "c1"]).eval()
    teacher = build_module(proto, outputs=["c1"]).eval()
    loss = FeatureLoss(teacher, kept[:1], 1.0, EXACT, CPU)
    with torch.no_grad():
        _, *features = student(source())
        assert loss((source(),), tuple(features)) < 1e-6  # c1 reads the image alone
        others = FeatureLoss(teacher, [np.array([0, 2, 5, 7])], 1.0, EXACT, CPU)
        assert others((source(),), tuple(features)) > 0.01


def test_values_are_compared_where_channels_can_be_told_apart() -> None:
    channels = analyse(tiny_generator())
    assert feature_values(channels, ["c1", "n2", "no such value"]) == ["c1", "n2"]
