import copy

import pytest
import torch

from decig.training.nets.averaging import Averaging


def nets() -> tuple["torch.nn.Module", "torch.nn.Module"]:
    torch.manual_seed(0)
    trained = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    mean = copy.deepcopy(trained).requires_grad_(False)
    with torch.no_grad():
        for value in (*trained.parameters(), *trained.buffers()):
            value.add_(2)
    return mean, trained


@pytest.mark.parametrize(("step", "share"), [(0, 0.9), (8, 0.5), (10_000, 0.1)])
def test_parameters_come_nearer_and_sooner_at_first(step: int, share: float) -> None:
    mean, trained = nets()
    before = [value.clone() for value in mean.parameters()]
    Averaging(0.9).follow(mean, trained, step)
    for old, new in zip(before, mean.parameters(), strict=True):
        torch.testing.assert_close(new, old + 2 * share)


def test_statistics_and_counters_are_copied() -> None:
    mean, trained = nets()
    Averaging(0.9).follow(mean, trained, 100)
    for ours, theirs in zip(mean.buffers(), trained.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    assert mean[1].num_batches_tracked == 2


def test_what_is_trained_stays_as_it_is() -> None:
    mean, trained = nets()
    before = copy.deepcopy(trained.state_dict())
    Averaging(0.9).follow(mean, trained, 1)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_a_head_start_counts_as_steps() -> None:
    ends = []
    for averaging, step in ((Averaging(0.9), 3), (Averaging(0.9, head_start=2), 1)):
        mean, trained = nets()
        averaging.follow(mean, trained, step)
        ends.append(mean[0].weight)
    assert torch.equal(*ends)
