"""How much two tensors differ that should be equal."""

import numpy as np

from decig.errors import BadInputError

_NUMBERS = "biufV"
"""Kinds of numpy arrays that hold numbers; V is bfloat16."""


def max_abs_diff(
    a: np.ndarray, b: np.ndarray, output_range: tuple[float, float] | None = None
) -> float:
    """Largest absolute difference, as a share of the output range.

    Args:
        a: the reference, any shape.
        b: the candidate, the same shape.
        output_range: least and greatest value that the model may put out; where that is not
            known, the range that `a` covers counts (1 if `a` is constant).

    Returns:
        0 for equal tensors; infinity where one of them has NaN or an infinity and the other has
        something else.

    Raises:
        BadInputError: the shapes differ.
    """
    if a.shape != b.shape:
        raise BadInputError(f"outputs of shapes {a.shape} and {b.shape} cannot be compared")
    if a.dtype.kind not in _NUMBERS:  # text: equal or not
        return 0.0 if np.array_equal(a, b) else float("inf")
    wide, other = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(wide) & np.isfinite(other)
    if not np.array_equal(wide[~finite], other[~finite], equal_nan=True):
        return float("inf")
    wide, other = wide[finite], other[finite]
    if not wide.size:
        return 0.0
    low, high = output_range or finite_range(a)
    return float(np.abs(wide - other).max()) / ((high - low) or 1.0)


def finite_range(tensor: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest finite value; 0 and 0 where no value is finite."""
    if tensor.dtype.kind not in _NUMBERS:
        return 0.0, 0.0
    wide = tensor.astype(np.float64)
    values = wide[np.isfinite(wide)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
