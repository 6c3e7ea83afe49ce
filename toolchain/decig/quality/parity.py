"""How far two tensors that should be equal differ."""

import numpy as np

from decig.errors import BadInputError


def max_abs_diff(
    a: np.ndarray, b: np.ndarray, output_range: tuple[float, float] | None = None
) -> float:
    """Largest absolute difference, as a share of the output range.

    Args:
        a: the reference, any shape.
        b: the candidate, the same shape.
        output_range: low and high of what the model may put out; where it is not known, the
            range that `a` covers (1 if `a` is constant).

    Returns:
        0 for equal tensors; infinity if `b` is not finite where `a` is, or the other way.

    Raises:
        BadInputError: the shapes differ.
    """
    if a.shape != b.shape:
        raise BadInputError(f"outputs of shapes {a.shape} and {b.shape} cannot be compared")
    low, high = output_range or (float(a.min()), float(a.max()))
    difference = np.abs(a.astype(np.float64) - b)
    if not np.isfinite(difference).all():
        return float("inf")
    return float(difference.max()) / ((high - low) or 1.0)
