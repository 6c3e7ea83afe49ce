"""A distance of features like LPIPS, for benchmarks: it sees differences that SSIM misses.

R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR
2018), equation 1 without its learnt channel weights: features are scaled to unit length at
every position, and their squared distance is averaged over positions and summed over layers.
The features are those of `decig.quality.features`, so the figures cannot be compared with
published LPIPS.
"""

import numpy as np

from decig.quality.features import FeatureNetwork


def feature_distance(network: FeatureNetwork, a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean distance of pictures to their counterparts; 0 if they are equal.

    Args:
        network: gives the features.
        a: pictures, float N,H,W,3 RGB between 0 and 1.
        b: their counterparts, of the same size.
    """
    distances = []
    for one, other in zip(a, b, strict=True):
        pairs = zip(network.positions(one), network.positions(other), strict=True)
        distances.append(sum(float((x - y).square().sum(1).mean()) for x, y in pairs))
    return float(np.mean(distances))
