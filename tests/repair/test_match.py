import numpy as np
import pytest

from decig.repair.match import _Aim, _slope, match
from decig.repair.offsets import Offset
from decig.repair.sample import Sample

RNG = np.random.default_rng(0)


def inputs() -> np.ndarray:
    return RNG.normal(size=(8, 300, 5)).astype(np.float32)


def sample(source: np.ndarray, end: np.ndarray, skip: np.ndarray | float = 0.0) -> Sample:
    output = end - skip
    mean, spread = output.mean(1, keepdims=True), output.std(1, keepdims=True)
    return Sample(source.copy(), output, end, skip, mean, spread)


def test_the_error_of_the_trunk_goes_into_the_branch() -> None:
    source = inputs()
    weights = RNG.normal(size=(5, 2)).astype(np.float32)
    error = source[..., :1] * 0.3
    seen = sample(source, source @ weights)
    off = Sample(seen.source, seen.output, seen.end, -error, seen.mean, seen.spread)
    found, _ = match(off, weights, Offset(None, {}, 2), rectified=False, out=None)
    assert found[0] == pytest.approx(weights[0] + 0.3, abs=1e-2)
    assert found[1:] == pytest.approx(weights[1:], abs=1e-2)


def test_what_a_relu_hides_is_free() -> None:
    source = inputs()
    hidden = source @ RNG.normal(size=(5, 3)).astype(np.float32)
    end = np.where(hidden > 0, hidden, hidden**3)  # no linear layer gives the negative half
    before = np.zeros((5, 3), np.float32)
    found, _ = match(sample(source, end), before, Offset(None, {}, 3), rectified=True, out=None)
    plain, _ = match(sample(source, end), before, Offset(None, {}, 3), rectified=False, out=None)

    def error(matrix: np.ndarray) -> float:
        return float(np.square(np.maximum(source @ matrix, 0) - np.maximum(end, 0)).mean())

    assert error(found) < 0.5 * error(plain)


def test_errors_count_by_what_they_do_to_the_picture() -> None:
    source = inputs()
    end = source @ np.full((5, 1), 2.0, np.float32)
    end[end > 1] += 4  # white either way, once clipped
    before = np.ones((5, 1), np.float32)

    def clip(values: np.ndarray) -> np.ndarray:
        return np.clip(values, -1, 1)

    def error(matrix: np.ndarray) -> float:
        return float(np.square(clip(source @ matrix) - clip(end)).mean())

    offset = Offset(None, {}, 1)
    found, _ = match(sample(source, end), before, offset, rectified=False, out=clip)
    plain, _ = match(sample(source, end), before, offset, rectified=False, out=None)
    assert error(found) < 0.5 * error(plain)


def test_behind_a_relu_any_negative_value_will_do() -> None:
    end, value = (np.float32(row).reshape(1, -1, 1) for row in ([2, 2, -1, -1], [0, 3, 1, -2]))
    skip = np.full_like(end, 0.5)
    aim = _Aim(sample(end, end, skip), rectified=True)
    # The original where it is positive; else 0 in all, or what the layer gives if that is less.
    assert aim.wanted(value).ravel().tolist() == [1.5, 1.5, -0.5, -2.0]
    # The sums are 0.5, 3.5, 1.5 and -1.5, and seen are 2, 2, 0 and 0.
    assert aim.error(value) == pytest.approx((1.5**2 + 1.5**2 + 1.5**2) / 4)
    plain = _Aim(sample(end, end, skip), rectified=False)
    assert plain.wanted(value).ravel().tolist() == [1.5, 1.5, -1.5, -1.5]
    assert plain.error(value) == pytest.approx((1.5**2 + 1.5**2 + 2.5**2 + 0.5**2) / 4)


def test_positions_are_weighted_by_the_squared_slope_of_the_picture() -> None:
    end = np.float32([2, 1, -1, -2]).reshape(1, -1, 1)
    before = np.zeros((1, 1), np.float32)  # the layer gives 0, so the secants go through 0

    def steeper_above(values: np.ndarray) -> np.ndarray:
        return np.where(values > 0, 3 * values, values)

    weight = _slope(sample(end, end), before, Offset(None, {}, 1), steeper_above)
    assert weight.ravel() == pytest.approx([9, 9, 1, 1], rel=0.01)


def test_a_round_that_makes_it_worse_is_not_kept() -> None:
    class Drifting(Offset):
        """A bias that is off by one more at every refit."""

        def refit(self, wanted: np.ndarray, weight: np.ndarray | None) -> None:
            self.beta = self.beta + 1

    source = inputs()
    weights = RNG.normal(size=(5, 2)).astype(np.float32)
    offset = Drifting("bias", {}, 2)
    match(sample(source, source @ weights), weights, offset, rectified=False, out=None)
    assert offset.beta.tolist() == [2.0, 2.0]  # once before the rounds, and in the first of them
