"""Multi-scale structural similarity (MS-SSIM) of two batches of pictures.

Z. Wang, E. P. Simoncelli and A. C. Bovik, "Multiscale Structural Similarity for Image Quality
Assessment" (Asilomar 2003). Where SSIM compares details of one size, MS-SSIM compares details of
five sizes, each half as fine as the one before, and weighs them as people did in the paper.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from decig.errors import BadInputError
from decig.quality.metrics import check_same

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales from fine to coarse (section 3.2 of the paper)."""
_RADIUS = 5
"""Pixels on each side of the middle of a Gaussian window, which is 11 pixels wide."""
SMALLEST_SIDE = 2 * _RADIUS * 2 ** (len(WEIGHTS) - 1) + 1
"""Least height and width in pixels: the picture of the coarsest scale must hold one window."""
_C1, _C2 = 0.01**2, 0.03**2


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Multi-scale structural similarity: 1 for equal pictures, the mean over R, G, B and pictures.

    Equation 7 of the paper, with the windows and constants of `decig.quality.metrics.ssim`:

        MS-SSIM = l_5^w_5 * product over the scales j of (c_j s_j)^w_j

    l is the likeness of brightness, c s that of contrast and structure; each is the mean over all
    windows within the picture. A negative mean, of pictures that are opposite to each other,
    counts as 0, because a power of it is not defined.

    Args:
        a: pictures, float N,H,W,3 between 0 and 1.
        b: as many pictures of the same size.

    Raises:
        BadInputError: the batches differ in shape, or a side is under `SMALLEST_SIDE` pixels.
    """
    check_same(a, b)
    if min(a.shape[1:3]) < SMALLEST_SIDE:
        raise BadInputError(
            f"MS-SSIM needs pictures of at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels, "
            f"not {a.shape[1]}x{a.shape[2]}"
        )
    return float(np.mean([_of_one(one, other) for one, other in zip(a, b, strict=True)]))


def _of_one(a: np.ndarray, b: np.ndarray) -> float:
    """MS-SSIM of two pictures H,W,3."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    product = np.ones(3)
    for scale, weight in enumerate(WEIGHTS, 1):
        structure, whole = _scale(a, b)
        product *= np.maximum(whole if scale == len(WEIGHTS) else structure, 0) ** weight
        a, b = _halved(a), _halved(b)
    return float(product.mean())


def _scale(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return contrast and structure, and those times brightness (SSIM): means for R, G and B."""
    mean_a, mean_b = _window(a), _window(b)
    variance = _window(a * a) - mean_a**2 + _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    structure = (2 * covariance + _C2) / (variance + _C2)
    brightness = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return structure.mean(axis=(0, 1)), (structure * brightness).mean(axis=(0, 1))


def _window(values: np.ndarray) -> np.ndarray:
    """Gaussian mean around each pixel of H,W,3 whose window is within the picture."""
    sigma = 1.5
    around: np.ndarray = gaussian_filter(values, sigma, axes=(0, 1), radius=_RADIUS)
    return around[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]


def _halved(picture: np.ndarray) -> np.ndarray:
    """Mean of each 2x2 pixels of H,W,3; the last row and column of an odd size are repeated."""
    even = np.pad(picture, [(0, side % 2) for side in picture.shape[:2]] + [(0, 0)], mode="edge")
    height, width = even.shape[:2]
    blocks: np.ndarray = even.reshape(height // 2, 2, width // 2, 2, 3)
    return np.asarray(blocks.mean(axis=(1, 3)))
