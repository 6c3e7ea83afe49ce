"""The hinge: where the sorted channel magnitudes of a group bend.

Condensed channels end where the curve turns from steep to flat. That place is found as in
Satopaa et al., "Finding a Kneedle in a Haystack" (2011), section III: the point of the normalised
curve that lies farthest below its chord.
"""

import numpy as np


def find_hinge(magnitudes: np.ndarray, sensitivity: float = 0.1) -> int | None:
    """Return how many channels lie before the bend of a group.

    Args:
        magnitudes: one per channel, in any order, not negative.
        sensitivity: how far below the chord the curve must dip, as a share of its height.

    Returns:
        The number of live channels, at least 1; None where the curve has no bend, because all
        channels matter equally or fall off in a straight line.
    """
    curve = np.sort(np.asarray(magnitudes, float))[::-1]
    span = curve[0] - curve[-1] if len(curve) else 0.0
    if len(curve) < 3 or span <= 1e-12 * max(curve[0], 1e-300):
        return None
    height = (curve - curve[-1]) / span
    chord = 1 - np.linspace(0, 1, len(curve))
    dip = chord - height
    bend = int(dip.argmax())
    # The bend itself is the first channel of the flat part.
    return max(bend, 1) if dip[bend] > sensitivity else None


def hinge_of(loss: np.ndarray) -> int | None:
    """Return the hinge of a group by what it loses.

    Args:
        loss: what is lost if the k best channels are kept, for k = 0 to all.
    """
    return find_hinge(np.maximum(-np.diff(loss), 0))
