"""Halving an interval, to find where a prediction crosses a target."""

from collections.abc import Callable

_HALVINGS = 20
"""How often the interval is halved, which leaves a millionth of it."""


def bisect(is_missed: Callable[[float], bool], misses: float, meets: float) -> tuple[float, float]:
    """Find where a target is just met, between a point that misses it and one that meets it.

    Args:
        is_missed: whether a point misses the target.
        misses: a point that does.
        meets: a point that does not.

    Returns:
        The same two, close to each other.
    """
    for _ in range(_HALVINGS):
        middle = (misses + meets) / 2
        if is_missed(middle):
            misses = middle
        else:
            meets = middle
    return misses, meets
