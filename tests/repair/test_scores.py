import numpy as np
import pytest

from decig.graph.channels import Group, analyse
from decig.graph.flow import Read
from decig.graph.model import initializers, replace_initializers
from decig.repair.elimination import Elimination
from decig.repair.readers import Reader, find_readers
from decig.repair.scores import Importance, eliminate
from decig.repair.sensitivity import Sensitivity
from tests.repair.small import INPUTS, NORMS, generator

RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(500, 6)) @ RNG.normal(size=(6, 6))
GROUP = Group("g", np.arange(10, 16), True, "", True, [])


def reader(labels: np.ndarray, outputs: int = 4, seed: int = 1) -> Reader:
    weights = np.random.default_rng(seed).normal(size=(len(labels), outputs))
    inverse = np.linalg.inv(np.cov(SAMPLES[:, : len(labels)], rowvar=False, ddof=0))
    read = Read("n", "x", 0, np.arange(len(labels)).reshape(1, -1, 1, 1))
    return Reader(read, -3, labels, np.zeros(len(labels)), inverse, weights @ weights.T)


def unexplained(view: Reader, kept: list[int]) -> float:
    """Energy of a reader's outputs that least squares on the kept channels cannot give."""
    centred = SAMPLES - SAMPLES.mean(0)
    solution = np.linalg.lstsq(centred[:, kept], centred, rcond=None)[0]
    rest = centred - centred[:, kept] @ solution
    return float((view.product * np.cov(rest, rowvar=False, ddof=0)).sum())


def test_what_is_lost_is_what_least_squares_cannot_give_back() -> None:
    views = [reader(GROUP.classes), reader(GROUP.classes, seed=2)]
    order, lost = eliminate(GROUP, views)
    assert sorted(order.tolist()) == list(range(6))
    assert lost[6] == 0
    for kept in range(1, 6):
        wanted = sum(unexplained(view, order[:kept].tolist()) for view in views)
        assert lost[kept] == pytest.approx(wanted, rel=1e-6)


def test_the_cheapest_channel_goes_first() -> None:
    view = reader(GROUP.classes)
    order, lost = eliminate(GROUP, [view])
    prices = [unexplained(view, [c for c in range(6) if c != gone]) for gone in range(6)]
    assert order[-1] == np.argmin(prices)
    assert lost[5] == pytest.approx(min(prices), rel=1e-6)


def test_channels_of_other_groups_take_over_but_do_not_go() -> None:
    labels = np.array([10, 11, 12, 90, 91, 92])
    group = Group("g", np.arange(10, 13), True, "", True, [])
    view = reader(labels)
    order, lost = eliminate(group, [view])
    assert sorted(order.tolist()) == [0, 1, 2]
    assert lost[0] == pytest.approx(unexplained(view, [3, 4, 5]), rel=1e-6)


def test_a_channel_that_is_read_twice_goes_twice() -> None:
    view = reader(np.array([10, 11, 12, 10, 11, 12]))
    group = Group("g", np.arange(10, 13), True, "", True, [])
    order, lost = eliminate(group, [view])
    prices = Elimination(view, group.classes).price().reshape(2, 3).sum(0)
    assert order[-1] == np.argmin(prices) and lost[2] == pytest.approx(prices.min())


@pytest.mark.parametrize("norm", NORMS)
def test_the_loss_falls_to_nothing_and_counts_what_the_picture_loses(norm: str) -> None:
    proto = generator(norm, residual=True)
    channels = analyse(proto)
    scores = Importance(proto, channels, INPUTS)
    readers = find_readers(proto, channels, INPUTS)
    picture = Sensitivity(proto, readers, INPUTS, groups=len(channels.prunable))
    assert scores.order.keys() == scores.loss.keys() == {g.name for g in channels.prunable}
    for group in channels.prunable:
        curve = scores.loss[group.name]
        assert len(curve) == group.channels + 1
        assert curve[-1] == pytest.approx(0, abs=1e-9) and (np.diff(curve) <= 1e-12).all()
        assert curve[0] > 0
        quarter = group.channels // 4
        gone = group.classes[scores.order[group.name][quarter:]]
        assert curve[quarter] == pytest.approx(picture.error(gone), rel=1e-4)


def test_a_channel_that_nothing_hears_is_the_last() -> None:
    proto = generator("InstanceNormalization")
    weights = initializers(proto)
    quiet = weights["t.weight"].copy()
    quiet[5] *= 1e-4
    replace_initializers(proto, {"t.weight": quiet})
    channels = analyse(proto)
    order = Importance(proto, channels, INPUTS).order
    name = next(g.name for g in channels.prunable if g.channels == 12)
    assert order[name][-1] == 5
