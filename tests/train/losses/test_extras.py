import copy

import numpy as np
import pytest
import torch

from decig.data.pixels import PixelFormat
from decig.graph.channels import analyse
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.train.losses.extras import FeatureLoss, TargetLoss, features_by_kept_index
from decig.train.module import build_module
from decig.train.pool import Batch
from decig.train.settings import Settings
from tests.train.tiny import tiny_generator

CPU = torch.device("cpu")
PIXELS = PixelFormat((0.0, 1.0), (0.0, 1.0))


def batch() -> Batch:
    torch.manual_seed(0)
    source, teacher, target = (torch.rand(2, 3, 32, 32) for _ in range(3))
    return Batch((source,), source, teacher, target)


def features(*arrays: object) -> "torch.nn.Module":
    class Teacher(torch.nn.Module):
        def forward(self, _: "torch.Tensor") -> tuple["torch.Tensor", ...]:
            return tuple(torch.tensor(array) for array in arrays)

    return Teacher()


def test_features_are_compared_with_the_channels_that_are_kept() -> None:
    teacher = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    kept = np.array([0, 2])
    loss = FeatureLoss(features(teacher), [kept], 0.5, CPU)
    picture = torch.zeros(1)
    alike = torch.from_numpy(teacher[:, kept])
    assert loss(batch(), (picture, alike), picture) == 0
    off = loss(batch(), (picture, alike + 2), picture)
    assert off == pytest.approx(0.5 * 2 / np.abs(teacher[:, kept]).mean())


def test_every_value_counts_the_same_whatever_its_size() -> None:
    one, other = np.full((1, 2, 2), 10, np.float32), np.full((1, 3, 8), 0.1, np.float32)
    loss = FeatureLoss(features(one, other), [None, None], 1.0, CPU)
    picture = torch.zeros(1)
    students = torch.from_numpy(one * 1.1), torch.from_numpy(other * 1.3)
    assert loss(batch(), (picture, *students), picture) == pytest.approx(0.2, rel=1e-4)


def test_a_sliced_graph_has_the_features_of_the_kept_channels() -> None:
    proto = tiny_generator()
    channels = analyse(proto)
    plan = Plan("", {name: [1, 2, 5, 7] for name in channels.widths})
    kept = features_by_kept_index(channels, plan, ["c1", "c4"])
    assert kept[0] is not None and kept[0].tolist() == [1, 2, 5, 7]
    assert kept[1] is None or kept[1].tolist() == [0, 1, 2]  # the picture keeps its colours
    student = build_module(slice_graph(proto, channels, plan), outputs=["output", "c1"]).eval()
    teacher = build_module(proto, outputs=["c1"]).eval()
    loss = FeatureLoss(teacher, kept[:1], 1.0, CPU)
    with torch.no_grad():
        outputs = student(*batch().inputs)
        assert loss(batch(), outputs, outputs[0]) < 1e-6  # c1 reads the image alone
        assert FeatureLoss(teacher, [np.array([0, 2, 5, 7])], 1.0, CPU)(
            batch(), outputs, outputs[0]
        ) > 0.01  # fmt: skip


def targets(**settings: float) -> TargetLoss:
    torch.manual_seed(0)
    return TargetLoss(6, PIXELS, Settings(**settings), CPU)


def test_without_an_adversary_the_loss_is_l1() -> None:
    loss, given = targets(target=2.0, adversarial=0.0), batch()
    before = copy.deepcopy(loss.discriminator.state_dict())
    found = loss(given, (), given.teacher)
    assert found == pytest.approx(2 * float((given.teacher - given.target).abs().mean()))
    for name, value in loss.discriminator.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_adversary_learns_and_drives_the_picture() -> None:
    loss, given = targets(target=0.0, adversarial=1.0), batch()
    before = copy.deepcopy(loss.discriminator.state_dict())
    picture = given.teacher.clone().requires_grad_()
    loss(given, (), picture).backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0
    assert any(not torch.equal(v, before[n]) for n, v in loss.discriminator.state_dict().items())


def test_the_adversary_goes_on_where_it_stood() -> None:
    one, given = targets(), batch()
    one(given, (), given.teacher)
    other = targets()
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    figures = [float(each(given, (), given.teacher).detach()) for each in (one, other)]
    assert figures[0] == figures[1]
    for name, value in one.discriminator.state_dict().items():
        assert torch.equal(value, other.discriminator.state_dict()[name])
