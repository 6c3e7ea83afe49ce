import numpy as np
import pytest

from decig.repair.match import match
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
