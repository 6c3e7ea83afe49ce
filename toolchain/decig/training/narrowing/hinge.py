"""The hinge: where the sorted channel magnitudes of a group bend.

What stage I condenses are the weights by which consumers read channels (stage I,
`decig.training.narrowing.condense`), so the norms of these weights are the magnitudes.

Condensed channels end where the curve turns from steep to flat. That place is found as in
Satopaa et al., "Finding a Kneedle in a Haystack" (2011), section III: the point of the normalised
curve that lies farthest below its chord.
"""

import numpy as np
import onnx

from decig.graph.channels import ChannelMap, Group
from decig.graph.model import initializers
from decig.graph.plan import floor_of
from decig.graph.scoring import channel_norms


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


def read_norms(proto: onnx.ModelProto, channels: ChannelMap) -> dict[str, np.ndarray]:
    """Norms of the weights by which each channel is read, [channels] of every group to cut.

    Args:
        proto: the graph.
        channels: its channel groups.
    """
    norms = channel_norms(channels, initializers(proto), ("read",))
    return {group.name: norms[group.name] for group in channels.prunable}


def shares(norm: np.ndarray) -> np.ndarray:
    """Norms whose squares add up to 1; where no weight reads the channels, all are the same."""
    if not norm.any():
        norm = np.ones_like(norm)
    result: np.ndarray = norm / np.linalg.norm(norm)
    return result


def at_hinge(group: Group, norm: np.ndarray) -> int:
    """How many channels of a group lie before its hinge, or its floor; all where it has none."""
    hinge = find_hinge(norm)
    return group.channels if hinge is None else max(hinge, floor_of(group))
